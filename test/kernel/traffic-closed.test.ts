// What happens to traffic when somebody else takes parts of the network away: it stops, it never
// flows unlimited.

import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { deleteLink, indexOf, tellKernel, withNetlink } from "../support/kernel-view.js";
import { openForTest, SHAPER } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { plugIn } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const HTB_ROOT = 0x10000;
const INGRESS = 0xfffffff2;
const COUNT = 100;
const SILENCE_MS = 50;

let network: Network;
let allocation: Allocation;
let guest: Guest;
let onHost: UdpService;

beforeEach(async () => {
  network = await openForTest();
  allocation = await network.createAllocation({
    instanceId: "a",
    instanceName: "a",
    upload: "20mbit",
  });
  guest = await plugIn(allocation);
  onHost = await UdpService.listen({ host: GATEWAY, echo: true });
  onTestFinished(() => onHost.close());
  expect(await guest.echoUdp({ host: GATEWAY, port: onHost.port })).toBeGreaterThan(0);
});

/** Sends datagrams up; how many of them arrived when the TAP has taken all, and some time later. */
async function upload(): Promise<number> {
  const before = onHost.report().datagrams;
  const taken = framesFromGuest();
  await guest.sendUdp({ host: GATEWAY, port: onHost.port, count: COUNT });
  await expect.poll(framesFromGuest).toBeGreaterThanOrEqual(taken + COUNT);
  await sleep(patiently(SILENCE_MS));
  return onHost.report().datagrams - before;
}

/** What the TAP took from the guest. */
function framesFromGuest(): number {
  const text = execFileSync("ip", ["-s", "-j", "link", "show", "dev", allocation.tap]);
  return JSON.parse(text.toString())[0].stats64.rx.packets;
}

/** Sends datagrams down; how many of them arrived when all have, or when the gate dropped the rest. */
async function download(): Promise<number> {
  const inGuest = await guest.listenUdp();
  const dropped = () => network.drops().gate_unarmed;
  const before = dropped();
  await sendUdp({ host: guest.ip, port: inGuest.port, count: COUNT });
  const arrived = async () => (await inGuest.report()).datagrams;
  await expect
    .poll(async () => (await arrived()) + dropped() - before)
    .toBeGreaterThanOrEqual(COUNT);
  const count = await arrived();
  await inGuest.close();
  return count;
}

/** Deletes the entry as anybody with the map's id can. */
function deleteLease({ ifindex }: Allocation): void {
  const addon = loadAddon();
  const { bpf } = addon;
  const [filter] = withNetlink((netlink) => netlink.filters(ifindex, INGRESS));
  const program = bpf.programById(filter?.bpf?.programId ?? 0);
  const maps = program.mapIds.map((id) => bpf.mapById(id));
  const key = Buffer.alloc(4);
  key.writeUInt32LE(ifindex);
  const isDeleted = bpf.mapDelete(maps.find(({ name }) => name === "leases")?.fd ?? -1, key);
  for (const { fd } of [program, ...maps]) addon.closeFd(fd);
  expect(isDeleted).toBe(true);
}

it("passes uploads and downloads as long as all parts are there", async () => {
  expect(await upload()).toBe(COUNT);
  expect(await download()).toBe(COUNT);
});

it("stops uploads when the shaper is deleted", async () => {
  deleteLink(SHAPER);
  expect(await upload()).toBe(0);
  expect(await download()).toBe(COUNT);
});

it("stops uploads when the shaper is down", async () => {
  tellKernel({ op: "link.set", ifindex: indexOf(SHAPER), up: false });
  expect(await upload()).toBe(0);
});

it("stops uploads when the guest's class is deleted: the default class leads nowhere", async () => {
  const minor = Number.parseInt(allocation.classId.slice(2), 16);
  tellKernel({ op: "class.delete", ifindex: indexOf(SHAPER), handle: HTB_ROOT | minor });
  expect(await upload()).toBe(0);
  expect(await download()).toBe(COUNT);
});

it("stops both directions when the lease is deleted, and counts both", async () => {
  const before = network.drops();
  deleteLease(allocation);
  expect(await upload()).toBe(0);
  expect(await download()).toBe(0);
  const after = network.drops();
  expect(after.unarmed - before.unarmed).toBeGreaterThanOrEqual(COUNT);
  expect(after.gate_unarmed - before.gate_unarmed).toBe(COUNT);
});

it("keeps a neighbour's traffic as it is when one guest's class and lease go", async () => {
  const other = await plugIn(
    await network.createAllocation({ instanceId: "b", instanceName: "b", upload: "20mbit" }),
  );
  const minor = Number.parseInt(allocation.classId.slice(2), 16);
  tellKernel({ op: "class.delete", ifindex: indexOf(SHAPER), handle: HTB_ROOT | minor });
  deleteLease(allocation);
  expect(await other.echoUdp({ host: GATEWAY, port: onHost.port })).toBeGreaterThan(0);
});
