// What a campaign's journal allows after a kill, and what it does not.

import { beforeEach, describe, expect, it } from "vitest";
import type { Call, Entry, GuestLimits, PlainAllocation } from "../../chaos/life.js";
import { type Found, Model } from "../../chaos/model.js";
import type { GuestIdentity } from "../../dist/index.js";

const LOW: GuestLimits = { download: 1e6, upload: { rate: 1e6, ceil: 1e6 } };
const HIGH: GuestLimits = { download: 2e6, upload: { rate: 2e6, ceil: 2e6 } };
const ACTIVE = {
  instanceId: "a",
  instanceName: "name-a",
  ip: "10.100.0.5",
  mac: "02:00:0a:64:00:05",
  tap: "fk0a640005",
  ifindex: 7,
  classId: "1:10",
  state: "active",
} as PlainAllocation;
const STANDBY = {
  ...ACTIVE,
  tap: "",
  ifindex: 0,
  classId: "",
  state: "standby",
} as PlainAllocation;

let model: Model;
let number: number;

beforeEach(() => {
  model = new Model();
  number = 0;
});

function ask(call: Call, limits?: GuestLimits, guest?: GuestIdentity): number {
  number += 1;
  const wish = { ...(limits && { limits }), ...(guest && { guest }) };
  model.hear({ event: "ask", atMs: number, number, call, id: "a", ...wish });
  return number;
}

function ack(call: Call, of: number, allocation?: PlainAllocation): void {
  const entry = { event: "ack", atMs: of + 0.5, number: of, call, id: "a" } as const;
  model.hear(allocation ? { ...entry, allocation } : entry);
}

function die(): void {
  model.hear({ event: "opened", atMs: 1000, allocations: [] } as Entry);
}

const found = (allocation: PlainAllocation, limits: GuestLimits): Found[] => [
  { allocation, limits },
];

describe("a guest that was acknowledged", () => {
  beforeEach(() => ack("create", ask("create", LOW), ACTIVE));

  it("is there with its limits, its identity and its TAP", () => {
    die();
    expect(model.compare(found(ACTIVE, LOW))).toEqual([]);
    expect(model.compare([])).toEqual([expect.stringContaining("a is absent, and may be active")]);
    expect(model.compare(found(ACTIVE, HIGH))).toHaveLength(1);
    expect(model.compare(found({ ...ACTIVE, ip: "10.100.0.6", ifindex: 8 }, LOW))).toHaveLength(2);
    expect(model.mustLive("a", 7)).toBe(true);
  });

  it("may be there or not when its release had no answer", () => {
    ask("release");
    expect(model.mustLive("a", 7)).toBe(false);
    die();
    expect(model.compare([])).toEqual([]);
    expect(model.compare(found(ACTIVE, LOW))).toEqual([]);
    expect(model.compare(found({ ...ACTIVE, ifindex: 9 }, LOW))).toHaveLength(1);
  });

  it("has the old limits or the new ones when the change had no answer", () => {
    ask("update", HIGH);
    die();
    expect(model.compare(found(ACTIVE, LOW))).toEqual([]);
    expect(model.compare(found(ACTIVE, HIGH))).toEqual([]);
  });

  it("has the old identity in its memory or the new one when that change had no answer", () => {
    const inside = { ip: "169.254.77.2", mac: "06:00:00:00:00:02", gateway: "169.254.77.1" };
    const changed = { ...ACTIVE, guest: { ...inside, gatewayMac: "06:00:00:00:00:01" } };
    expect(model.compare(found(changed, LOW))).toHaveLength(1);
    const asked = ask("identify", undefined, changed.guest);
    expect(model.compare(found(changed, LOW))).toEqual([]);
    expect(model.compare(found(ACTIVE, LOW))).toEqual([]);
    ack("identify", asked, changed);
    expect(model.compare(found(ACTIVE, LOW))).toHaveLength(1);
    ack("standby", ask("standby"), { ...STANDBY, guest: changed.guest });
    expect(model.compare(found({ ...STANDBY, guest: changed.guest }, LOW))).toEqual([]);
    expect(model.compare(found(STANDBY, LOW))).toHaveLength(1);
  });

  it("is in standby after an acknowledged standby, with the same address", () => {
    ack("standby", ask("standby"), STANDBY);
    expect(model.compare(found(ACTIVE, LOW))).toHaveLength(1);
    expect(model.compare(found(STANDBY, LOW))).toEqual([]);
    expect(model.compare(found({ ...STANDBY, mac: "02:00:00:00:00:09" }, LOW))).toHaveLength(1);
  });

  it("keeps what may be through a second death", () => {
    ask("standby");
    die();
    ask("release");
    die();
    for (const one of [[], found(ACTIVE, LOW), found(STANDBY, LOW)])
      expect(model.compare(one)).toEqual([]);
    model.settle([], 2000);
    expect(model.compare(found(ACTIVE, LOW))).toHaveLength(1);
  });
});

it("nobody comes whom nobody asked for", () => {
  expect(model.compare(found(ACTIVE, LOW))).toEqual(["nobody asked for a"]);
});

function refuse(of: number, code: string, call: Call = "create"): void {
  model.hear({ event: "refusal", atMs: of + 0.5, number: of, call, id: "a", code, message: "" });
}

it("a dead worker may refuse to make a TAP, and nothing else; then nothing is there", () => {
  refuse(ask("create", LOW), "ERR_FORKNET_WORKER");
  expect(model.takeProblems()).toEqual([]);
  expect(model.compare([])).toEqual([]);
  expect(model.compare(found(ACTIVE, LOW))).toHaveLength(1);
  ack("create", ask("create", LOW), ACTIVE);
  refuse(ask("standby"), "ERR_FORKNET_WORKER", "standby");
  expect(model.takeProblems()).toHaveLength(1);
});

it("a refusal is a problem, unless a release overtook the call", () => {
  refuse(ask("create", LOW), "ERR_FORKNET_KERNEL");
  expect(model.takeProblems()).toHaveLength(1);
  const create = ask("create", LOW);
  ack("release", ask("release"));
  refuse(create, "ERR_FORKNET_ABORTED");
  expect(model.takeProblems()).toEqual([]);
  expect(model.compare([])).toEqual([]);
});
