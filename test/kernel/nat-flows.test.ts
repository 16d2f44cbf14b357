// What connection tracking keeps of a guest: late answers reach a guest that comes back, and not the next
// one with its address. The internet is a wire that answers when the test says so.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { Deaths } from "../support/deaths.js";
import { published } from "../support/events.js";
import { ERRNO, openWithFaults } from "../support/faults.js";
import { INTERNET_IP, setForwarding, UPLINK_IP } from "../support/internet.js";
import { ipNumber } from "../support/kernel-view.js";
import { plug, SlowInternet } from "../support/late-answers.js";
import { destroyNetwork, openForTest, testOptions } from "../support/network.js";

const IP = "10.100.0.7";
/** Mark, neighbour entry, group. */
const OPERATIONS_OF_A_DELETION = 3;
/** Then it is given up. */
const DEATHS_OF_A_JOB = 3;

let internet: SlowInternet;

beforeEach(async () => {
  setForwarding(true);
  internet = await SlowInternet.open();
});

function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id, ip: IP });
}

describe("a late answer to a guest that is gone", () => {
  it("does not reach the next one with its address", async () => {
    const network = await openForTest(testOptions({ nat: {} }));
    const first = await fork(network, "a");
    const raw = plug(first);
    const asked = await internet.ask(raw, first);
    expect(asked.sourceIp).toBe(UPLINK_IP);
    expect(await internet.answer(raw, asked, "in time")).toBeDefined();
    raw.close();
    await network.releaseAllocation("a");
    const second = await fork(network, "b");
    expect(second.ip).toBe(first.ip);
    expect(await internet.reaches(second, asked)).toBe(false);
  });

  it("nor when the kernel would not forget: then that is an event, and reconcile frees the address", async () => {
    const { network, faults } = await openWithFaults(testOptions({ nat: {} }));
    const kept = published("forknet:flows-kept");
    const first = await fork(network, "a");
    const asked = await internet.question(first);
    faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "CT_DELETE" });
    await network.releaseAllocation("a");
    const refusal = { bridge: "vmbr0", ip: IP, error: { errnoName: "EPERM" } };
    expect(kept).toMatchObject([refusal]);
    await expect(fork(network, "b")).rejects.toMatchObject({ code: "ERR_FORKNET_ADDRESS_IN_USE" });
    faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "CT_DELETE" });
    const action = { action: "free_identity", subject: IP };
    const refused = await network.reconcile();
    expect(refused.actions).toMatchObject([{ ...action, error: { errnoName: "EPERM" } }]);
    expect(kept).toMatchObject([refusal, refusal]);
    const allowed = await network.reconcile();
    expect(allowed.actions).toMatchObject([action]);
    expect(allowed.actions[0]?.error).toBeUndefined();
    expect(await internet.reaches(await fork(network, "b"), asked)).toBe(false);
  });

  it("nor when the worker that is to forget dies under it again and again", async () => {
    const options = testOptions({ nat: {} });
    const deaths = new Deaths();
    const network = await openWith(options, deaths.internals);
    onTestFinished(() => destroyNetwork(network, options));
    const kept = published("forknet:flows-kept");
    const first = await fork(network, "a");
    await first.shaped;
    const asked = await internet.question(first);
    deaths.before("reap", "exit", OPERATIONS_OF_A_DELETION + 1, DEATHS_OF_A_JOB);
    await network.releaseAllocation("a");
    expect(kept).toMatchObject([{ ip: IP, error: { code: "ERR_FORKNET_WORKER" } }]);
    await expect(fork(network, "b")).rejects.toMatchObject({ code: "ERR_FORKNET_ADDRESS_IN_USE" });
    await network.reconcile();
    expect(await internet.reaches(await fork(network, "b"), asked)).toBe(false);
  });

  it("may where the kernel cannot be asked: every address would be used up", async () => {
    const { network, faults } = await openWithFaults(testOptions({ nat: {} }));
    const kept = published("forknet:flows-kept");
    const first = await fork(network, "a");
    const asked = await internet.question(first);
    // nfnetlink's answer without nf_conntrack_netlink.
    faults.refuse({ errno: ERRNO.EINVAL, at: 1, match: "CT_DELETE" });
    await network.releaseAllocation("a");
    expect(kept).toMatchObject([{ ip: IP, error: { errnoName: "EINVAL" } }]);
    const second = await fork(network, "b");
    expect(await internet.answer(plug(second), asked, "too late")).toBeDefined();
  });
});

it("a guest that comes back from standby has its flows", async () => {
  const network = await openForTest(testOptions({ nat: {} }));
  const before = await fork(network, "a");
  const raw = plug(before);
  const asked = await internet.ask(raw, before);
  raw.close();
  await network.standbyAllocation("a");
  const after = await network.recreateAllocation("a");
  expect(await internet.answer(plug(after), asked, "after standby")).toBeDefined();
});

it("flows of an address are forgotten at either end, and no others", async () => {
  const network = await openForTest(testOptions({ nat: {} }));
  const guest = await fork(network, "a");
  const raw = plug(guest);
  const netlink = new (loadAddon().Netlink)();
  onTestFinished(() => netlink.close());
  const [guestIp, internetIp] = [IP, INTERNET_IP].map(ipNumber) as [number, number];
  // Of other tests.
  netlink.forgetFlows([internetIp]);
  await internet.ask(raw, guest);
  expect(netlink.forgetFlows([guestIp + 1])).toBe(0);
  // The internet's is the source of the answers.
  expect(netlink.forgetFlows([internetIp])).toBe(1);
  expect(netlink.forgetFlows([guestIp, internetIp])).toBe(0);
  await internet.ask(raw, guest);
  expect(netlink.forgetFlows([guestIp, internetIp])).toBe(1);
  // More than two are looked up in a list of all.
  await internet.ask(raw, guest);
  expect(netlink.forgetFlows([guestIp, guestIp + 1, guestIp + 2])).toBe(1);
  expect(netlink.forgetFlows([guestIp, guestIp + 1, guestIp + 2])).toBe(0);
  expect(netlink.forgetFlows([])).toBe(0);
  const [network10, mask] = ["10.100.0.0", "255.255.0.0"].map(ipNumber) as [number, number];
  await internet.ask(raw, guest);
  expect(netlink.forgetFlowsBut([guestIp], network10, mask)).toBe(0);
  expect(netlink.forgetFlowsBut([], network10 + 2 ** 16, mask)).toBe(0);
  expect(netlink.forgetFlowsBut([guestIp + 1], network10, mask)).toBe(1);
  expect(() => netlink.forgetFlowsBut([-1], network10, mask)).toThrow(TypeError);
  expect(() => netlink.forgetFlowsBut([], -1, mask)).toThrow(TypeError);
  expect(() => netlink.forgetFlows([-1])).toThrow(TypeError);
});
