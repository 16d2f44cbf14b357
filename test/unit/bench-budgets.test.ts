// Budgets: which are judged, and which side of the limit is the good one.

import { expect, test } from "vitest";
import { budgets, judge } from "../../bench/budgets.mjs";
import { questions } from "../../bench/questions.mjs";

const verdictOf = (verdicts: ReturnType<typeof judge>, name: string) =>
  verdicts.find((verdict) => verdict.name.startsWith(name));

test("belongs to a question each", () => {
  const names = questions.map(({ name }) => name);
  for (const { question } of budgets) expect(names).toContain(question);
});

test("judges what was measured and leaves out what was not", () => {
  const verdicts = judge({ fork: { coldToFloor: [1.2, 1.3, 1.5], warmToFloor: [0.11] } });
  expect(verdicts.map(({ question }) => question)).toEqual(["fork", "fork"]);
  expect(verdictOf(verdicts, "cold fork")).toMatchObject({ value: 1.3, limit: 1.3, isMet: true });
  expect(verdictOf(verdicts, "warm fork")).toMatchObject({ value: 0.11, limit: 0.1, isMet: false });
});

test("asks for at least as much where more is better", () => {
  const upload = (ratio: number) =>
    judge({ "data-path": { manyToOne: [ratio], sizes: [1, 1000] } });
  expect(verdictOf(upload(0.9), "upload")?.isMet).toBe(true);
  expect(verdictOf(upload(0.89), "upload")?.isMet).toBe(false);
});

test("leaves a budget out when the run was too small for it", () => {
  expect(judge({ "data-path": { manyToOne: [1], sizes: [2, 2] } })).toEqual([]);
  expect(judge({ burst: { bySize: { 5: {} } }, release: { toFloor: { 3: [1] } } })).toEqual([]);
});
