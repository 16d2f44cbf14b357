// The calls of a random run: what they are made of, and how they are made. Few ids, names and
// addresses, so that they meet.

import fc from "fast-check";
import type { GuestIdentity, Network, TapOwner } from "../../dist/index.js";
import { SNAPSHOT } from "./clones.js";
import type { ExpectedLimits } from "./invariants.js";

export type Identity = Required<GuestIdentity> | null;

/** One call, and what happens before the next one is made. */
export interface Step {
  call: "create" | "recreate" | "standby" | "release" | "update" | "identify" | "reconcile";
  id: string;
  name: string;
  /** Mbit per second. */
  download?: number | undefined;
  upload?: number | undefined;
  ip?: string | undefined;
  tapName?: string | undefined;
  /** The identity in its memory; null is its own. Of "create" and "identify". */
  guest: Identity;
  /** Of "create" and "recreate". */
  owner?: TapOwner | undefined;
  /** Aborts the call so many milliseconds after it was made; 0 in the same tick. */
  abortAfterMs?: number | undefined;
  gap: "at once" | "next turn" | "pause" | "settle";
}

const UPLOAD_BURST = 4;
const OWNERS: TapOwner[] = [{ uid: 7 }, { gid: 8 }, { uid: 7, gid: 8 }];
const IDENTITIES: Identity[] = [null, SNAPSHOT, { ...SNAPSHOT, ip: "169.254.9.2" }];

function maybe<T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(one, { nil: undefined, freq: 2 });
}

const call = fc.oneof(
  { weight: 6, arbitrary: fc.constant("create" as const) },
  { weight: 4, arbitrary: fc.constant("recreate" as const) },
  { weight: 4, arbitrary: fc.constant("standby" as const) },
  { weight: 5, arbitrary: fc.constant("release" as const) },
  { weight: 4, arbitrary: fc.constant("update" as const) },
  { weight: 3, arbitrary: fc.constant("identify" as const) },
  { weight: 1, arbitrary: fc.constant("reconcile" as const) },
);

export const step: fc.Arbitrary<Step> = fc.record({
  call,
  id: fc.constantFrom("a", "b", "c", "d", "e"),
  name: fc.constantFrom("anna", "bert", "carl", "dora", "emil", "fred", "gina"),
  download: maybe(fc.integer({ min: 1, max: 50 })),
  upload: maybe(fc.integer({ min: 1, max: 50 })),
  ip: fc.option(fc.constantFrom("10.100.0.5", "10.100.0.6"), { nil: undefined, freq: 5 }),
  tapName: fc.option(fc.constantFrom("restored0", "restored1"), { nil: undefined, freq: 5 }),
  guest: fc.constantFrom(...IDENTITIES),
  owner: maybe(fc.constantFrom(...OWNERS)),
  abortAfterMs: fc.option(fc.constantFrom(0, 0, 1, 2), { nil: undefined, freq: 5 }),
  gap: fc.constantFrom("at once", "at once", "next turn", "pause", "settle"),
});

/** Makes the call. A throw is an answer, too. */
export async function make(network: Network, given: Step): Promise<unknown> {
  const { id, name } = given;
  const controller = new AbortController();
  if (given.abortAfterMs === 0) queueMicrotask(() => controller.abort());
  else if (given.abortAfterMs !== undefined)
    setTimeout(() => controller.abort(), given.abortAfterMs);
  const { signal } = controller;
  const limits = {
    ...(given.download === undefined ? {} : { download: `${given.download}mbit` }),
    ...(given.upload === undefined ? {} : { upload: `${given.upload}mbit` }),
  };
  const tapName = given.tapName === undefined ? {} : { tapName: given.tapName };
  const ip = given.ip === undefined ? {} : { ip: given.ip };
  const owner = given.owner === undefined ? {} : { owner: given.owner };
  const guest = given.guest === null ? {} : { guest: given.guest };
  switch (given.call) {
    case "create":
      return network.createAllocation(
        { instanceId: id, instanceName: name, ...limits, ...tapName, ...ip, ...owner, ...guest },
        { signal },
      );
    case "recreate":
      return network.recreateAllocation(id, { ...limits, ...tapName, ...owner, signal });
    case "standby":
      return network.standbyAllocation(id);
    case "release":
      return network.releaseAllocation(id);
    case "update":
      return network.updateLimits(id, limits);
    case "identify":
      return network.updateGuest(id, given.guest);
    case "reconcile":
      return network.reconcile();
  }
}

/** The limits after the step: what it leaves out stays. */
export function limitsOf({ download, upload }: Step, before: ExpectedLimits): ExpectedLimits {
  const rate = (upload ?? 0) * 1e6;
  return {
    download: download === undefined ? before.download : download * 1e6,
    upload: upload === undefined ? before.upload : { rate, ceil: rate * UPLOAD_BURST },
  };
}
