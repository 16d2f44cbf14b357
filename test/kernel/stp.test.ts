// STP on the bridge: a guest would be cut off for half a minute after its VMM has opened the TAP. A
// new network is refused; guests that live are adopted, and what can be said and done is.

import { expect, it, onTestFinished } from "vitest";
import { type Allocation, type Network, openNetwork } from "../../dist/index.js";
import { expectMended, sh } from "../support/diagnosis.js";
import { published } from "../support/events.js";
import { deleteLink, linkNamed } from "../support/kernel-view.js";
import {
  BRIDGE,
  destroyedAtEnd,
  expectNotOpened,
  openForTest,
  testOptions,
} from "../support/network.js";
import { patiently } from "../support/patience.js";
import { answersPing } from "../support/ping.js";
import { REQUEST } from "../support/requests.js";
import { plugIn } from "../support/traffic-network.js";

const [DISABLED, LISTENING, FORWARDING] = [0, 1, 3];
const STP = `ip link set dev ${BRIDGE} type bridge stp_state`;
const HEARD_MS = 5000;

const stateOf = (tap: string) => linkNamed(tap)?.port?.state;

/** The port follows its link's carrier a moment later. */
async function plugged(guest: Allocation, state: number): Promise<void> {
  await plugIn(guest);
  await expect.poll(() => stateOf(guest.tap), { timeout: patiently(HEARD_MS) }).toBe(state);
}

async function differences(network: Network): Promise<string[][]> {
  const found = (await network.verify()).differences;
  return found.map(({ subject, what, found: actual }) => [subject, what, actual]);
}

it("refuses a new network on a bridge that runs it, with the command that ends it", async () => {
  sh(`ip link add ${BRIDGE} type bridge stp_state 1; ip link set ${BRIDGE} up`);
  onTestFinished(() => deleteLink(BRIDGE));
  await expectNotOpened(testOptions(), "CONFLICT", {
    message: expect.stringMatching(
      /runs STP.* 30 s .*: ip link set dev vmbr0 type bridge stp_state 0$/,
    ) as string,
  });
  await expectMended("bridge.stp", "problem", /runs STP/);
  const network = await openForTest();
  const guest = await network.createAllocation(REQUEST);
  await plugged(guest, FORWARDING);
  expect(await answersPing(guest.ip, 56)).toBe(true);
  expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
});

it("locks no live guest out; verify tells whose port is silent, and reconcile ends it when it may", async () => {
  const options = testOptions();
  destroyedAtEnd(options);
  const first = await openNetwork(options);
  const before = await first.createAllocation(REQUEST);
  await plugged(before, FORWARDING);
  await first.close();
  sh(`${STP} 1`);
  const heard = published("forknet:warning");
  const network = await openNetwork(options);
  onTestFinished(() => network.close());
  expect(heard).toMatchObject([{ bridge: BRIDGE, what: "stp" }]);
  // A port that forwards goes on, a new one does not.
  expect(await answersPing(before.ip, 56)).toBe(true);
  const guest = await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  await plugged(guest, LISTENING);
  const { warnings } = await network.verify();
  expect(warnings.map(({ subject, what }) => [subject, what])).toEqual([
    [BRIDGE, "stp"],
    ["vm-2", "port-state"],
  ]);
  // The kernel alone decides: nothing that reconcile could repair.
  expect(await differences(network)).toEqual([]);
  expect(await network.reconcile()).toMatchObject({ actions: [] });

  sh(`${STP} 0`);
  expect(await differences(network)).toEqual([["vm-2", "port-state", "listening"]]);
  const { actions } = await network.reconcile();
  expect(actions.map(({ action, subject, error }) => [action, subject, error])).toEqual([
    ["repair", "vm-2", undefined],
  ]);
  expect(stateOf(guest.tap)).toBe(FORWARDING);
  expect(await answersPing(guest.ip, 56)).toBe(true);
  expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
});

it("is over for a guest that listens when the next agent opens without it", async () => {
  const options = testOptions();
  destroyedAtEnd(options);
  const first = await openNetwork(options);
  const guest = await first.createAllocation(REQUEST);
  sh(`${STP} 1`);
  await plugged(guest, LISTENING);
  await first.close();
  sh(`${STP} 0`);
  const network = await openNetwork(options);
  onTestFinished(() => network.close());
  expect(stateOf(guest.tap)).toBe(FORWARDING);
  expect(await answersPing(guest.ip, 56)).toBe(true);
});

it("a port that somebody disables is drift within a second, and is repaired", async () => {
  const network = await openForTest();
  const guest = await network.createAllocation(REQUEST);
  // Without a VMM a port is disabled, and nothing is wrong with it.
  expect(await differences(network)).toEqual([]);
  await plugged(guest, FORWARDING);
  const drift = published("forknet:drift");
  sh(`bridge link set dev ${guest.tap} state ${DISABLED}`);
  const seen = { subject: "vm-1", what: "port-state", found: "disabled" };
  await expect.poll(() => drift, { timeout: patiently(HEARD_MS) }).toMatchObject([seen]);
  expect(await answersPing(guest.ip, 56)).toBe(false);
  await network.reconcile();
  expect(await answersPing(guest.ip, 56)).toBe(true);
  expect(await differences(network)).toEqual([]);
});
