// How uploads reach the shaper before Linux 6.5, where an IFB drops what bpf_redirect brings: by a mirred at the guard's
// filter. It works on every kernel, so it is proved on this one.

import { expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import { loadAddon } from "../../src/kernel/addon.js";
import * as frames from "../support/frames.js";
import { classNamed, indexOf, tellKernel, withNetlink } from "../support/kernel-view.js";
import { BRIDGE, destroyNetwork, SHAPER, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const GATEWAY = "10.100.0.1";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const FOREIGN_MAC = "02:00:0a:64:99:99";
const INGRESS = 0xfffffff2;
const COUNT = 7;

async function openOlder(): Promise<Network> {
  const given = testOptions();
  const kernelModule = new URL("../support/older-kernel.mjs", import.meta.url).href;
  const network = await openWith(given, { kernelModule });
  onTestFinished(() => destroyNetwork(network, given));
  return network;
}

async function forkOn(network: Network): Promise<{ vm: Allocation; guest: RawTap }> {
  const vm = await network.createAllocation({ instanceId: "vm-1", instanceName: "web-1" });
  await vm.shaped;
  const guest = new RawTap({ tap: vm.tap });
  onTestFinished(() => guest.close());
  return { vm, guest };
}

async function listen(): Promise<UdpService> {
  const onHost = await UdpService.listen({ host: GATEWAY });
  onTestFinished(() => onHost.close());
  return onHost;
}

function datagram({ mac, ip }: Allocation, port: number, source = mac): Buffer {
  return frames.udpFrame({
    source,
    destination: GATEWAY_MAC,
    sourceIp: ip,
    destinationIp: GATEWAY,
    destinationPort: port,
  });
}

function guardOf({ ifindex }: Allocation) {
  return withNetlink((netlink) => netlink.filters(ifindex, INGRESS))[0]?.bpf;
}

it("brings what a guest may send through its class to the host", async () => {
  const network = await openOlder();
  const { vm, guest } = await forkOn(network);
  const onHost = await listen();
  expect(guardOf(vm)).toMatchObject({ directAction: false, redirectTo: indexOf(SHAPER) });
  const before = classNamed(SHAPER, vm.classId)?.stats.packets ?? 0;
  for (let i = 0; i < COUNT; i++) guest.send(datagram(vm, onHost.port));
  await expect.poll(() => onHost.report().sources).toEqual({ [vm.ip]: COUNT });
  expect((classNamed(SHAPER, vm.classId)?.stats.packets ?? 0) - before).toBe(COUNT);
  expect(network.drops()).toMatchObject({ mac: 0, unclassified: 0 });
  expect(await network.verify()).toMatchObject({ differences: [] });
});

it("drops and counts a frame that it may not send once, by its reason", async () => {
  const network = await openOlder();
  const { vm, guest } = await forkOn(network);
  const onHost = await listen();
  for (let i = 0; i < COUNT; i++) guest.send(datagram(vm, onHost.port, FOREIGN_MAC));
  guest.send(datagram(vm, onHost.port));
  await expect.poll(() => onHost.report().sources).toEqual({ [vm.ip]: 1 });
  expect(network.drops()).toMatchObject({ mac: COUNT, unclassified: 0 });
});

it("follows a shaper that was made anew, and until then nothing passes", async () => {
  const network = await openOlder();
  const { vm, guest } = await forkOn(network);
  const onHost = await listen();
  tellKernel({ op: "link.delete", ifindex: indexOf(SHAPER) });
  guest.send(datagram(vm, onHost.port));
  const refused = { errnoName: "ENODEV", device: SHAPER };
  const another = { instanceId: "vm-2", instanceName: "web-2" };
  await expect(network.createAllocation(another)).rejects.toMatchObject(refused);
  await network.reconcile();
  expect(guardOf(vm)?.redirectTo).toBe(indexOf(SHAPER));
  guest.send(datagram(vm, onHost.port));
  await expect.poll(() => onHost.report().datagrams).toBe(1);
  expect(await network.verify()).toMatchObject({ differences: [] });
});

it("finds and mends a guard whose redirect is another's", async () => {
  const network = await openOlder();
  const { vm, guest } = await forkOn(network);
  const onHost = await listen();
  const addon = loadAddon();
  const program = addon.bpf.programById(guardOf(vm)?.programId ?? 0);
  onTestFinished(() => addon.closeFd(program.fd));
  tellKernel({
    op: "filter.bpf",
    verb: "replace",
    ifindex: vm.ifindex,
    parent: INGRESS,
    priority: 1,
    handle: 1,
    programFd: program.fd,
    name: "forknet-guard",
    redirectTo: indexOf(BRIDGE),
  });
  const { differences } = await network.verify();
  expect(differences).toMatchObject([{ subject: "vm-1", what: "guard" }]);
  await network.reconcile();
  expect(guardOf(vm)?.redirectTo).toBe(indexOf(SHAPER));
  guest.send(datagram(vm, onHost.port));
  await expect.poll(() => onHost.report().datagrams).toBe(1);
});
