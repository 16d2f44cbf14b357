// The three programs on the hooks they are made for, with frames through a real TAP: what
// BPF_PROG_TEST_RUN cannot show. Taken-out VLAN tags, truncated and non-linear frames, the class on
// the shaper, and the way back.

import { release } from "node:os";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { Netlink } from "../../src/kernel/binding.js";
import type { Message } from "../../src/kernel/messages.js";
import type { DropReason } from "../../src/lease/drops.js";
import { needsMirred } from "../../src/plans/programs.js";
import { sendUdp, UdpService } from "../../src/stand-in/udp-service.js";
import { BpfPrograms } from "../support/bpf-programs.js";
import {
  arpFrame,
  ETHER_TYPE,
  ipBytes,
  macBytes,
  parseFrame,
  udpFrame,
} from "../support/frames.js";
import { RawTap } from "../support/raw-tap.js";

const addon = loadAddon();
const CLSACT_INGRESS = 0xfffffff2;
const CLSACT_EGRESS = 0xfffffff3;
const ROOT = 0x10000;
const DEFAULT_MINOR = 0xffff;
const GIGABIT_IN_BYTES = 125_000_000;
const MAC = "02:00:0a:64:00:05";
const IP = "10.100.0.5";
const GATEWAY_IP = "10.100.0.1";
const PORT = 5300;
const SERVICE_TAG = 0x88a8;
const MIRRORED = needsMirred(release());
const HOOK = { op: "filter.bpf", verb: "add", priority: 1, handle: 1 } as const;
const CLASS = {
  rate: GIGABIT_IN_BYTES,
  ceil: GIGABIT_IN_BYTES,
  burstBytes: 65_536,
  cburstBytes: 65_536,
} as const;

let ours: BpfPrograms;
let netlink: Netlink;
let raw: RawTap;
let shaper = 0;
let tap = 0;
let gatewayMac = "";

function send(...messages: Message[]): void {
  expect(netlink.talk(messages)).toEqual(messages.map(() => null));
}

function makeShaper(): void {
  send({ op: "link.create", name: "shaper0", kind: "ifb", addressGeneration: "none" });
  shaper = netlink.link({ name: "shaper0" })?.ifindex ?? 0;
  send({
    op: "qdisc.htb",
    verb: "add",
    ifindex: shaper,
    handle: ROOT,
    defaultMinor: DEFAULT_MINOR,
  });
  for (const minor of [0x10, 0x11, DEFAULT_MINOR]) {
    const handle = ROOT | minor;
    send({
      op: "class.htb",
      verb: "add",
      ifindex: shaper,
      parent: ROOT,
      handle,
      ...CLASS,
      quantumBytes: 60_000,
    });
  }
  const program = { programFd: ours.programs.classify, name: "classify", classid: ROOT };
  send(
    { ...HOOK, ifindex: shaper, parent: ROOT, ...program },
    { op: "link.set", ifindex: shaper, up: true },
  );
}

function makeTap(): void {
  const { fd, ifindex } = addon.openTap({ name: "tap0", vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  tap = ifindex;
  const guard = { programFd: ours.programs.guard, name: "guard" };
  send(
    { op: "link.set", ifindex, addressGeneration: "none" },
    { op: "qdisc.clsact", verb: "add", ifindex },
    {
      ...HOOK,
      ifindex,
      parent: CLSACT_INGRESS,
      ...guard,
      ...(MIRRORED ? { redirectTo: shaper } : {}),
    },
    { ...HOOK, ifindex, parent: CLSACT_EGRESS, programFd: ours.programs.gate, name: "gate" },
    { op: "link.set", ifindex, up: true },
    { op: "address.add", ifindex, ip: ipBytes(GATEWAY_IP).readUInt32BE(), prefixLength: 16 },
    {
      op: "neighbor.set",
      ifindex,
      ip: ipBytes(IP).readUInt32BE(),
      mac: macBytes(MAC).readUIntBE(0, 6),
    },
  );
  const mac = netlink.link({ ifindex })?.mac.toString(16).padStart(12, "0") ?? "";
  gatewayMac = mac.replace(/..(?=.)/g, "$&:");
}

beforeAll(() => {
  ours = new BpfPrograms();
  netlink = new addon.Netlink();
  makeShaper();
  makeTap();
  raw = new RawTap({ tap: "tap0" });
});

afterAll(() => {
  raw.close();
  for (const ifindex of [tap, shaper]) netlink.talk([{ op: "link.delete", ifindex }]);
  netlink.close();
  ours.close();
});

beforeEach(() => {
  ours.arm(tap, { mac: MAC, ip: IP });
  ours.setNetwork({
    subnet: "10.100.0.0",
    mask: "255.255.0.0",
    gateway: GATEWAY_IP,
    shaperIfindex: shaper,
    mirrored: MIRRORED,
  });
  raw.drain();
  ours.resetDrops();
});

function toGateway() {
  return { source: MAC, destination: gatewayMac, sourceIp: IP, destinationIp: GATEWAY_IP };
}

function udp(extra: { vlan?: number; payload?: Buffer } = {}): Buffer {
  return udpFrame({ ...toGateway(), destinationPort: PORT, ...extra });
}

function arp(): Buffer {
  return arpFrame({ operation: 1, senderMac: MAC, senderIp: IP, targetIp: GATEWAY_IP });
}

/**
 * What the guard and the classifier dropped; the host's own IPv6 frames come by the gate at any
 * time.
 */
function uploadDrops(): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ours.drops()).filter(([reason]) => !reason.startsWith("gate_")),
  );
}

function packets(minor: number): number {
  const classes = netlink.classes(shaper);
  return classes.find(({ handle }) => handle === (ROOT | minor))?.stats.packets ?? Number.NaN;
}

/** One frame more in a class, and none dropped. */
async function expectClassified(
  frame: Uint8Array,
  minor: number,
  write = (it: Uint8Array) => raw.send(it),
) {
  const before = packets(minor);
  const all = packets(0x10) + packets(0x11) + packets(DEFAULT_MINOR);
  write(frame);
  await expect.poll(() => packets(minor)).toBe(before + 1);
  expect(packets(0x10) + packets(0x11) + packets(DEFAULT_MINOR)).toBe(all + 1);
  expect(uploadDrops()).toEqual({});
}

async function expectDropped(frame: Uint8Array, reason: DropReason) {
  const before = [0x10, 0x11, DEFAULT_MINOR].map(packets);
  raw.send(frame);
  await expect.poll(uploadDrops).toEqual({ [reason]: 1 });
  expect([0x10, 0x11, DEFAULT_MINOR].map(packets)).toEqual(before);
}

describe("from the guest", () => {
  it.each([0x10, 0x11])("goes to class 1:%i, which the lease names", async (classMinor) => {
    ours.arm(tap, { mac: MAC, ip: IP, classMinor });
    await expectClassified(udp(), classMinor);
    await expectClassified(arp(), classMinor);
  });

  it("goes to HTB's default when the lease's class is not there", async () => {
    ours.arm(tap, { mac: MAC, ip: IP, classMinor: 0x99 });
    await expectClassified(udp(), DEFAULT_MINOR);
  });

  it("never goes past the classes when the lease has none", async () => {
    ours.arm(tap, { mac: MAC, ip: IP, classMinor: 0 });
    await expectDropped(udp(), "unclassified");
  });

  it("comes back at the TAP and reaches the host", async () => {
    const onHost = await UdpService.listen({ host: GATEWAY_IP });
    raw.send(udpFrame({ ...toGateway(), destinationPort: onHost.port }));
    await expect.poll(() => onHost.report().sources).toEqual({ [IP]: 1 });
    ours.disarm(tap);
    raw.send(udpFrame({ ...toGateway(), destinationPort: onHost.port }));
    await expect.poll(uploadDrops).toEqual({ unarmed: 1 });
    expect(onHost.report().datagrams).toBe(1);
    await onHost.close();
  });

  it("is dropped when it is tagged: the kernel takes the tag out, and the rest looks like the guest's own", () =>
    expectDropped(udp({ vlan: 5 }), "vlan"));

  it("is dropped with priority and no VLAN, too", () => expectDropped(udp({ vlan: 0 }), "vlan"));

  it("is dropped with a service tag", () => {
    const frame = udp({ vlan: 5 });
    frame.writeUInt16BE(SERVICE_TAG, 12);
    return expectDropped(frame, "vlan");
  });

  it("is dropped with two tags", () => {
    const inner = udp({ vlan: 5 });
    const outer = Buffer.from([0x88, 0xa8, 0, 7]);
    return expectDropped(Buffer.concat([inner.subarray(0, 12), outer, inner.subarray(12)]), "vlan");
  });

  it.each([14, 15, 33])("is dropped when IPv4 ends after %i bytes", (length) =>
    expectDropped(udp().subarray(0, length), "malformed"),
  );

  it.each([14, 15, 41])("is dropped when ARP ends after %i bytes", (length) =>
    expectDropped(arp().subarray(0, length), "malformed"),
  );

  it("passes with an IPv4 header and nothing else", () =>
    expectClassified(udp().subarray(0, 34), 0x10));
});

describe("with headers outside the linear part", () => {
  const nonLinear = (linearBytes: number) => (frame: Uint8Array) =>
    raw.sendLinear(frame, linearBytes);

  it.each([14, 15, 33, 34])("IPv4 passes, %i bytes linear", (linearBytes) =>
    expectClassified(udp({ payload: Buffer.alloc(9000) }), 0x10, nonLinear(linearBytes)),
  );

  it.each([14, 41, 42])("ARP passes, %i bytes linear", (linearBytes) =>
    expectClassified(Buffer.concat([arp(), Buffer.alloc(9000)]), 0x10, nonLinear(linearBytes)),
  );

  it("a foreign source address is still seen", async () => {
    const frame = udp({ payload: Buffer.alloc(9000) });
    frame.writeUInt8(99, 29);
    raw.sendLinear(frame, 14);
    await expect.poll(uploadDrops).toEqual({ ip: 1 });
  });
});

describe("towards the guest", () => {
  const isUdp = (frame: Buffer) => parseFrame(frame).etherType === ETHER_TYPE.ipv4;
  const fromHost = () => sendUdp({ host: IP, port: PORT, count: 1 });

  it("passes when it is armed", async () => {
    await fromHost();
    expect(await raw.receive(isUdp)).toBeDefined();
    expect(ours.drops()).toEqual({});
  });

  it.each([
    ["without a lease", "gate_unarmed", () => ours.disarm(tap)],
    [
      "while it is blocked",
      "gate_blocked",
      () => ours.arm(tap, { mac: MAC, ip: IP, blocked: true }),
    ],
  ])("is dropped %s", async (_, reason, prepare) => {
    prepare();
    await fromHost();
    await expect.poll(() => ours.drops()[reason]).toBeGreaterThanOrEqual(1);
    expect(await raw.receive(isUdp, 50)).toBeUndefined();
  });
});
