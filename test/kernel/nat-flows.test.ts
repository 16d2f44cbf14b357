// What connection tracking keeps of a guest: late answers reach a guest that comes back, and not the next
// one with its address. The internet is a wire that answers when the test says so.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { published } from "../support/events.js";
import { ERRNO, openWithFaults } from "../support/faults.js";
import * as frames from "../support/frames.js";
import {
  INTERNET,
  INTERNET_IP,
  openRawUplink,
  setForwarding,
  UPLINK_IP,
} from "../support/internet.js";
import { ipNumber } from "../support/kernel-view.js";
import { openForTest, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const GATEWAY_MAC = "02:00:0a:64:00:01";
const IP = "10.100.0.7";
const PORT = 4242;

/** What the internet saw of a guest's packet. */
interface Asked {
  sourceIp: string;
  sourcePort: number;
  hostMac: string;
}

let wire: RawTap;

beforeEach(async () => {
  setForwarding(true);
  wire = await openRawUplink();
});

function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id, ip: IP });
}

function plug(tap: string): RawTap {
  const raw = new RawTap({ tap });
  onTestFinished(() => raw.close());
  return raw;
}

/** The guest sends a datagram to the internet. */
async function ask(raw: RawTap, { mac, ip }: Allocation): Promise<Asked> {
  const way = { source: mac, destination: GATEWAY_MAC, sourceIp: ip };
  raw.send(frames.udpFrame({ ...way, destinationIp: INTERNET_IP, destinationPort: PORT }));
  const frame = await wire.receive((one) => frames.parseFrame(one).udp?.destinationPort === PORT);
  const { source, ipv4, udp } = frames.parseFrame(frame as Buffer);
  return {
    sourceIp: ipv4?.sourceIp as string,
    sourcePort: udp?.sourcePort as number,
    hostMac: source,
  };
}

/** The internet answers, now or late. */
function sendAnswer({ sourceIp, sourcePort, hostMac }: Asked, payload: string): void {
  wire.send(
    frames.udpFrame({
      source: INTERNET.mac,
      destination: hostMac,
      sourceIp: INTERNET_IP,
      sourcePort: PORT,
      destinationIp: sourceIp,
      destinationPort: sourcePort,
      payload,
    }),
  );
}

/** What came to the guest of an answer. */
function answer(raw: RawTap, asked: Asked, payload: string): Promise<Buffer | undefined> {
  sendAnswer(asked, payload);
  return raw.receive((frame) => frame.includes(payload));
}

describe("a late answer to a guest that is gone", () => {
  it("does not reach the next one with its address", async () => {
    const network = await openForTest(testOptions({ nat: {} }));
    const first = await fork(network, "a");
    const raw = plug(first.tap);
    const asked = await ask(raw, first);
    expect(asked.sourceIp).toBe(UPLINK_IP);
    expect(await answer(raw, asked, "in time")).toBeDefined();
    raw.close();
    await network.releaseAllocation("a");
    const second = await fork(network, "b");
    expect(second.ip).toBe(first.ip);
    const next = plug(second.tap);
    sendAnswer(asked, "too late");
    // The second guest's own answers come, and this one was sent behind the other.
    sendAnswer(await ask(next, second), "its own");
    const heard = await next.receiveUntil((frame) => frame.includes("its own"));
    expect(heard.filter((frame) => frame.includes("too late"))).toEqual([]);
  });

  it("does when the kernel would not forget: then that is an event, and the release goes on", async () => {
    const { network, faults } = await openWithFaults(testOptions({ nat: {} }));
    const kept = published("forknet:flows-kept");
    const first = await fork(network, "a");
    const raw = plug(first.tap);
    const asked = await ask(raw, first);
    raw.close();
    faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "CT_DELETE" });
    await network.releaseAllocation("a");
    expect(kept).toMatchObject([{ bridge: "vmbr0", ip: IP, error: { errnoName: "EPERM" } }]);
    const second = await fork(network, "b");
    expect(await answer(plug(second.tap), asked, "too late")).toBeDefined();
  });
});

it("a guest that comes back from standby has its flows", async () => {
  const network = await openForTest(testOptions({ nat: {} }));
  const before = await fork(network, "a");
  const raw = plug(before.tap);
  const asked = await ask(raw, before);
  raw.close();
  await network.standbyAllocation("a");
  const after = await network.recreateAllocation("a");
  expect(await answer(plug(after.tap), asked, "after standby")).toBeDefined();
});

it("flows of an address are forgotten at either end, and no others", async () => {
  const network = await openForTest(testOptions({ nat: {} }));
  const guest = await fork(network, "a");
  const raw = plug(guest.tap);
  const netlink = new (loadAddon().Netlink)();
  onTestFinished(() => netlink.close());
  const [guestIp, internetIp] = [IP, INTERNET_IP].map(ipNumber) as [number, number];
  // Of other tests.
  netlink.forgetFlows([internetIp]);
  await ask(raw, guest);
  expect(netlink.forgetFlows([guestIp + 1])).toBe(0);
  // The internet's is the source of the answers.
  expect(netlink.forgetFlows([internetIp])).toBe(1);
  expect(netlink.forgetFlows([guestIp, internetIp])).toBe(0);
  await ask(raw, guest);
  expect(netlink.forgetFlows([guestIp, internetIp])).toBe(1);
  // More than two are looked up in a list of all.
  await ask(raw, guest);
  expect(netlink.forgetFlows([guestIp, guestIp + 1, guestIp + 2])).toBe(1);
  expect(netlink.forgetFlows([guestIp, guestIp + 1, guestIp + 2])).toBe(0);
  expect(netlink.forgetFlows([])).toBe(0);
  expect(() => netlink.forgetFlows([-1])).toThrow(TypeError);
});
