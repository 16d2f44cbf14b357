// What a test may say about something that does not come: only what a control in the same time allows.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lookBeside } from "../support/patience.js";

const COMES = Promise.resolve(true);
let waits: number[];

beforeEach(() => {
  waits = [];
});
afterEach(() => void vi.useRealTimers());

/** Something that takes so long to come. */
const comingAfter = (takesMs: number) => async (withinMs: number) => {
  waits.push(withinMs);
  return withinMs >= takesMs ? "it" : undefined;
};
const NEVER = Number.POSITIVE_INFINITY;

it("finds what comes, without a control", async () => {
  const control = vi.fn(() => COMES);
  expect(await lookBeside(control, comingAfter(1))).toBe("it");
  expect(control).not.toHaveBeenCalled();
});

it("finds nothing beside a control that comes", async () => {
  expect(await lookBeside(() => COMES, comingAfter(NEVER))).toBeUndefined();
  expect(waits).toHaveLength(1);
});

it("looks for longer where the control takes longer, and so finds what is late", async () => {
  const control = async (withinMs: number) => (await comingAfter(5000)(withinMs)) !== undefined;
  expect(await lookBeside(control, comingAfter(3000))).toBe("it");
});

it("does not believe a control that comes after its time", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  const late = () => new Promise<boolean>((resolve) => void setTimeout(resolve, 1000, true));
  const found = lookBeside(late, comingAfter(NEVER));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await found).toBeUndefined();
  expect(waits).toHaveLength(2);
});

it("throws when the control does not come at all", async () => {
  const none = lookBeside(() => Promise.resolve(false), comingAfter(NEVER));
  await expect(none).rejects.toThrow("The control does not come either");
});
