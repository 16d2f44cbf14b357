// How a network's guards judge pending checksums: by kfuncs, by helpers that were tried, or as the
// options say where neither works. Each by frames that a guest sends, heard at another port of the
// bridge; and that the trial leaves nothing and disturbs nobody.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { Agent } from "../support/agent.js";
import { withPendingChecksum, wrongChecksums } from "../support/checksums.js";
import { published } from "../support/events.js";
import { BROADCAST_MAC, parseFrame, udpFrame } from "../support/frames.js";
import { CAN_JUDGE, HELPERS_WORK } from "../support/judging.js";
import { IS_BEFORE_6_2 } from "../support/kernel-release.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { readNetworkLines, tellKernel, withNetlink } from "../support/kernel-view.js";
import {
  BRIDGE,
  destroyedAtEnd,
  destroyNetwork,
  openForTest,
  testOptions,
} from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { patiently } from "../support/patience.js";
import { RawTap } from "../support/raw-tap.js";
import { paddingFor } from "../support/virtio.js";

const INGRESS = 0xfffffff2;
const TC_ROOT = 0xffffffff;
const UDP_AT = 34;
const JUDGED = 9999;
const FORGED = 53;
const COMPLETE = 1000;
const HONEST = 1001;
const NET_ADMIN_AND_BPF = "-all,+net_admin,+bpf";
const WITHOUT_PERFMON = [
  "setpriv",
  `--bounding-set=${NET_ADMIN_AND_BPF}`,
  `--inh-caps=${NET_ADMIN_AND_BPF}`,
];

function kernelWithout(what = ""): string {
  return new URL(`../support/no-kfuncs-kernel.mjs?${what}`, import.meta.url).href;
}

/** Options that do not say what to do where nothing works. */
function unsaid(): NetworkOptions {
  const { unverifiedChecksums: _, ...options } = testOptions();
  return options;
}

async function openOn(
  kernelModule: string | undefined,
  options: Partial<NetworkOptions> = {},
): Promise<Network> {
  const given = { ...unsaid(), ...options };
  const network = await openWith(given, kernelModule === undefined ? {} : { kernelModule });
  onTestFinished(() => destroyNetwork(network, given));
  return network;
}

function fork(network: Network): Promise<Allocation> {
  return network.createAllocation({ instanceId: "vm-1", instanceName: "web-1" });
}

function nameOfGuard({ ifindex }: Pick<Allocation, "ifindex">): string {
  const { bpf } = withNetlink((netlink) => netlink.filters(ifindex, INGRESS))[0] ?? {};
  const addon = loadAddon();
  const program = addon.bpf.programById(bpf?.programId ?? 0);
  addon.closeFd(program.fd);
  return program.name;
}

function datagram({ mac, ip }: Pick<Allocation, "mac" | "ip">, destinationPort: number): Buffer {
  return udpFrame({
    source: mac,
    destination: BROADCAST_MAC,
    sourceIp: ip,
    destinationIp: "192.0.2.9",
    destinationPort,
    payload: Buffer.alloc(6),
  });
}

/**
 * A guest sends one frame whose port the host is to overwrite, one with an honest pending checksum and
 * one that is complete, in this order. The destination ports that arrive.
 */
async function portsHeard(vm: Pick<Allocation, "tap" | "mac" | "ip">): Promise<number[]> {
  const ear = openOutsidePort(BRIDGE);
  const guest = new RawTap({ tap: vm.tap });
  onTestFinished(() => guest.close());
  const forged = datagram(vm, JUDGED);
  paddingFor(forged, UDP_AT, FORGED).copy(forged, forged.length - 2);
  guest.sendWith({ checksum: { start: UDP_AT, at: UDP_AT + 2 } }, forged);
  guest.sendPending(withPendingChecksum(datagram(vm, HONEST)));
  guest.send(datagram(vm, COMPLETE));
  const isLast = (frame: Buffer) => parseFrame(frame).udp?.destinationPort === COMPLETE;
  const heard = (await ear.receiveUntil(isLast)).filter((frame) => parseFrame(frame).udp);
  expect(heard.filter((frame) => !isForged(frame)).flatMap(wrongChecksums)).toEqual([]);
  return heard.map((frame) => parseFrame(frame).udp?.destinationPort as number);
}

function isForged(frame: Buffer): boolean {
  return parseFrame(frame).udp?.destinationPort === FORGED;
}

it.skipIf(IS_BEFORE_6_2)("by kfuncs, where the kernel has them", async () => {
  const network = await openOn(undefined);
  const vm = await fork(network);
  expect(nameOfGuard(vm)).toBe("guard_kfunc");
  expect(await portsHeard(vm)).toEqual([HONEST]);
  expect(network.drops()).toMatchObject({ checksum: 1 });
});

describe.runIf(HELPERS_WORK)("by helpers", () => {
  it.each([
    ["not translating", {}],
    ["translating", { translate: true }],
  ])("%s, and forgeries are dropped", async (_, options) => {
    const network = await openOn(kernelWithout(), options);
    const vm = await fork(network);
    expect(nameOfGuard(vm)).toMatch(/^guard(_translate)?$/);
    expect(await portsHeard(vm)).toEqual([HONEST]);
    expect(network.drops()).toMatchObject({ checksum: 1 });
    expect(await network.verify()).toMatchObject({ compared: 1, differences: [] });
  });

  it("also where the guard's filter is not direct-action, once a frame", async () => {
    const network = await openOn(kernelWithout("release=6.1.0"));
    const vm = await fork(network);
    expect(await portsHeard(vm)).toEqual([HONEST]);
    expect(network.drops()).toMatchObject({ checksum: 1, unclassified: 0 });
  });

  it("in a process without CAP_PERFMON", async () => {
    const options = unsaid();
    destroyedAtEnd(options);
    const agent = new Agent(WITHOUT_PERFMON);
    await agent.open(options);
    const vm = await agent.fork({ instanceId: "vm-1", instanceName: "web-1" });
    expect(nameOfGuard(vm)).toBe("guard");
    expect(await portsHeard(vm)).toEqual([HONEST]);
    expect(await agent.call("drops")).toMatchObject({ checksum: 1 });
  });

  it("a network beside does not notice the trial", async () => {
    const network = await openForTest();
    const vm = await fork(network);
    const changes = published("forknet:changed-outside");
    await openOn(kernelWithout(), { bridge: "vmbr1", subnet: "10.101.0.0/16" });
    // The monitor tells in the order of what happened: behind this, all is told.
    tellKernel({ op: "qdisc.delete", ifindex: vm.ifindex, parent: TC_ROOT });
    await expect.poll(() => changes.length, { timeout: patiently(5000) }).toBeGreaterThan(0);
    expect(changes.map(({ subject }) => subject)).toEqual(changes.map(() => "vm-1"));
  });

  it("the trial leaves nothing when its process is killed in it", () => {
    const before = readNetworkLines();
    const script = fileURLToPath(new URL("../support/killed-trial.mjs", import.meta.url));
    const { signal, stdout } = spawnSync(process.execPath, [script], { encoding: "utf8" });
    expect(signal).toBe("SIGKILL");
    // It was there, and up.
    expect(stdout).toMatch(/^fkp[\da-f]{8} up$/m);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });
});

describe("where neither works", () => {
  const broken = kernelWithout("helpers=broken");

  it("a network is refused, with what to do, and the kernel is as it was", async () => {
    const before = readNetworkLines();
    await expect(openOn(broken)).rejects.toMatchObject({
      code: "ERR_FORKNET_UNSUPPORTED",
      message: expect.stringMatching(
        /CAP_PERFMON.*unverifiedChecksums: "drop".*"accept"/,
      ) as string,
    });
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it('"drop" drops every pending checksum, and counts it', async () => {
    const network = await openOn(broken, { unverifiedChecksums: "drop" });
    expect(await portsHeard(await fork(network))).toEqual([]);
    expect(network.drops()).toMatchObject({ checksum: 2 });
  });

  it('"accept" lets all pass', async () => {
    const network = await openOn(broken, { unverifiedChecksums: "accept" });
    expect(await portsHeard(await fork(network))).toEqual([FORGED, HONEST]);
    expect(network.drops()).toMatchObject({ checksum: 0 });
  });

  it("a live guest keeps its guard, and is judged once a process opens that can", async () => {
    const options = testOptions({ unverifiedChecksums: "accept" });
    const first = await openWith(options, { kernelModule: broken });
    const vm = await fork(first);
    await first.close();
    const { unverifiedChecksums: _, ...judging } = options;
    await expect(openWith(judging, { kernelModule: broken })).rejects.toMatchObject({
      code: "ERR_FORKNET_UNSUPPORTED",
    });
    expect(nameOfGuard(vm)).toBe("guard");
    const network = await openForTest(IS_BEFORE_6_2 ? options : judging);
    expect(await network.verify()).toMatchObject({ compared: 1, differences: [] });
    expect(await portsHeard(vm)).toEqual(CAN_JUDGE ? [HONEST] : [FORGED, HONEST]);
  });
});
