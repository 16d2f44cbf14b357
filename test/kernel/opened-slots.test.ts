// A warm slot that a process opens, which tap.owner's uid can: it is noticed, told and replaced, and
// what was sent through it reached nobody. The one that is opened in the last moment is best effort.

import { expect, it, onTestFinished } from "vitest";
import type { Network, NetworkOptions } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { published } from "../support/events.js";
import { indexOf, linkNamed, warmSlots } from "../support/kernel-view.js";
import {
  BRIDGE,
  destroyedAtEnd,
  openForTest,
  poolFilled,
  testOptions,
} from "../support/network.js";
import { patiently } from "../support/patience.js";
import { TapOpener } from "../support/tap-opener.js";

const SHARED = 70_001;
const REQUEST = { instanceId: "vm-1", instanceName: "alpha", upload: "20mbit" };
/** Within a second, on a machine that is not busy with something else. */
const SOON = { timeout: patiently(10_000) };
/** net/if.h */
const IFF_RUNNING = 0x40;
/** After five seconds a slot that is "running" is one that a process has open. */
const OLD_MS = 5_200;
const TRIES = 20;

async function openFilled(size: number, tap: NetworkOptions["tap"] = {}): Promise<Network> {
  const options = testOptions({ pool: { size }, tap: { owner: SHARED, ...tap } });
  const network = await openForTest(options);
  await poolFilled(network, size);
  return network;
}

/** As a VMM has it. */
function hold(name: string, multiQueue = false): void {
  const { fd } = loadAddon().openTap({ name, vnetHdr: true, multiQueue });
  onTestFinished(() => loadAddon().closeFd(fd));
}

it.each([
  ["and kept open", false, false],
  ["and closed at once", false, true],
  ["with several queues, and kept open", true, false],
  ["with several queues, and closed at once", true, true],
])("a slot that is opened %s is written off and replaced", async (_, multiQueue, isClosed) => {
  const network = await openFilled(3, { multiQueue });
  const told = published("forknet:slot-opened");
  const outside = published("forknet:changed-outside");
  const thief = await TapOpener.as({ uid: SHARED });
  const slots = warmSlots(BRIDGE);
  const [tap] = slots as [string];
  const ifindex = indexOf(tap);
  await thief.open(tap, { multiQueue });
  if (isClosed) await thief.close();
  await expect.poll(() => told, SOON).toEqual([{ bridge: BRIDGE, tap }]);
  await expect.poll(() => linkNamed(tap)?.ifindex === ifindex, SOON).toBe(false);
  await expect.poll(() => warmSlots(BRIDGE).length, SOON).toBe(3);
  expect((await network.verify()).differences).toEqual([]);
  expect(outside).toEqual([]);
  // Nobody else's slot went with it.
  expect(warmSlots(BRIDGE)).toEqual(expect.arrayContaining(slots.slice(1)));
});

it("a slot that was opened long after it was made is no fork's", async () => {
  const network = await openFilled(2);
  const told = published("forknet:slot-opened");
  await new Promise((resolve) => setTimeout(resolve, OLD_MS));
  const slots = warmSlots(BRIDGE).sort((a, b) => indexOf(a) - indexOf(b));
  const [first, second] = slots as [string, string];
  const ifindex = indexOf(first);
  // All in one turn of the event loop, so that nothing has been heard of it.
  hold(first);
  while (((loadAddon().linkFlags(ifindex) ?? 0) & IFF_RUNNING) === 0);
  const forked = network.createAllocation(REQUEST);
  expect(told).toEqual([{ bridge: BRIDGE, tap: first }]);
  const { tap, shaping } = await forked;
  expect([tap, shaping]).toEqual([second, "pending"]);
});

it("verify tells a slot that is open, until it is written off, and reconcile deletes it", async () => {
  const network = await openFilled(2);
  const opened = { what: "opened", expected: "by nobody", found: "by a process" };
  // The monitor may be faster than a look.
  let seen: unknown[] = [];
  for (let tries = 0; tries < TRIES && seen.length === 0; tries++) {
    await poolFilled(network, 2);
    const [tap] = warmSlots(BRIDGE) as [string];
    hold(tap);
    const { differences } = await network.verify();
    seen = differences;
    if (seen.length > 0) expect(differences).toEqual([{ subject: tap, ...opened }]);
    const { actions } = await network.reconcile();
    for (const one of actions)
      expect(one).toMatchObject({ action: "delete_tap", subject: tap, reason: /opened is by/ });
    await expect.poll(() => linkNamed(tap)?.lowerUp, SOON).not.toBe(true);
  }
  expect(seen).toHaveLength(1);
});

it("the command tells it with no agent, too", async () => {
  const options = testOptions({ pool: { size: 2 }, tap: { owner: SHARED } });
  destroyedAtEnd(options);
  const agent = new Agent();
  await agent.open(options);
  await expect.poll(() => warmSlots(BRIDGE).length, SOON).toBe(2);
  await agent.kill();
  const [tap] = warmSlots(BRIDGE) as [string];
  hold(tap);
  const { value } = await forknetJson(["verify", "--bridge", BRIDGE]);
  expect(value).toMatchObject({ differences: [{ subject: tap, what: "opened" }] });
});

it("what the network itself does with its slots is not taken for a stranger's doing", async () => {
  const network = await openForTest(testOptions({ pool: { size: 4 } }));
  await poolFilled(network, 4);
  const told = published("forknet:slot-opened");
  const outside = published("forknet:changed-outside");
  for (let i = 0; i < 12; i++) {
    const name = `${i}`;
    const owner = i % 2 === 0 ? { owner: SHARED } : {};
    await network.createAllocation({ instanceId: name, instanceName: name, ...owner });
    const { tap } = network.getAllocation(name) ?? { tap: "" };
    hold(tap);
    if (i % 3 === 0) await network.standbyAllocation(name);
  }
  for (let i = 0; i < 12; i += 3) await network.recreateAllocation(`${i}`);
  await poolFilled(network, 4);
  const thief = await TapOpener.as({ uid: 0 });
  const [tap] = warmSlots(BRIDGE) as [string];
  await thief.open(tap);
  // What was heard before it has been judged by then.
  await expect.poll(() => told, SOON).toEqual([{ bridge: BRIDGE, tap }]);
  const isOfLinks = ({ object }: { object: string }) => object === "link" || object === "port";
  expect(outside.filter(isOfLinks)).toEqual([]);
});
