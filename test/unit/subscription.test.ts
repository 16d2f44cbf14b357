// What becomes of events when their reader is slow, and that those of other networks are left out.

import { expect, it } from "vitest";
import { publish } from "../../src/events/events.js";
import { type NetworkEvent, subscription } from "../../src/events/subscription.js";

const LONGEST_QUEUE = 4096;

function tell(bridge: string, tap: string): void {
  publish("forknet:slot-lost", { bridge, tap });
}

it("tells a slow reader how many of the oldest events were lost, then the rest in order", async () => {
  const ending = new AbortController();
  const reader = subscription("vmbr0", [ending.signal])[Symbol.asyncIterator]();
  for (let i = 0; i < LONGEST_QUEUE + 3; i++) tell("vmbr0", `tap${i}`);
  tell("vmbr1", "another network's");
  ending.abort();
  tell("vmbr0", "too late");
  const first = await reader.next();
  expect(first).toEqual({ done: false, value: { type: "missed", bridge: "vmbr0", count: 3 } });
  const rest: NetworkEvent[] = [];
  for (let next = await reader.next(); !next.done; next = await reader.next())
    rest.push(next.value);
  expect(rest).toHaveLength(LONGEST_QUEUE);
  expect(rest[0]).toEqual({ type: "slot-lost", bridge: "vmbr0", tap: "tap3" });
  expect(rest.at(-1)).toMatchObject({ tap: `tap${LONGEST_QUEUE + 2}` });
});

it("serves readers that wait in the order in which they asked", async () => {
  const reader = subscription("vmbr0", [])[Symbol.asyncIterator]();
  const waiting = [reader.next(), reader.next()];
  tell("vmbr0", "first");
  tell("vmbr0", "second");
  expect((await Promise.all(waiting)).map(({ value }) => value)).toMatchObject([
    { tap: "first" },
    { tap: "second" },
  ]);
  await reader.return?.();
  tell("vmbr0", "third");
  expect((await reader.next()).done).toBe(true);
});
