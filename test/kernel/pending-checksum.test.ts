// A guest that has the host write a checksum into its frame after the guard has judged it: into an
// address, into a port. Heard at ports that complete checksums in software, as an uplink may; such a
// frame arrives nowhere and is counted.

import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import { withPendingChecksum, wrongChecksums } from "../support/checksums.js";
import { forkClones, SNAPSHOT } from "../support/clones.js";
import { ARP_OPERATION, arpFrame, BROADCAST_MAC, parseFrame, udpFrame } from "../support/frames.js";
import { CAN_JUDGE, DROP_WHAT_CANNOT_BE_JUDGED } from "../support/judging.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";
import { GSO, paddingFor } from "../support/virtio.js";

const OUTSIDE_IP = "192.0.2.9";
const ARP_SUM_AT = 20;
/** The lower half of the sender's address. */
const ARP_FORGED_AT = 30;
const UDP_AT = 34;
const UDP_PORT_AT = 36;
const MARK = "the last one";

type Self = Pick<Allocation, "mac" | "ip">;

interface Scene {
  network: Network;
  /** What the sender calls itself. */
  self: Self;
  /** What it is on the bridge. */
  outer: Self;
  guest: RawTap;
  /** Ports where its frames would arrive. */
  ears: RawTap[];
}

function openTap({ tap }: Pick<Allocation, "tap">): RawTap {
  const raw = new RawTap({ tap });
  onTestFinished(() => raw.close());
  return raw;
}

function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id });
}

/** A guest that is judged as it is, beside a peer that hears it where guests are not isolated. */
async function sceneOf(options: Partial<NetworkOptions>): Promise<Scene> {
  const network = await openForTest(testOptions({ ...DROP_WHAT_CANNOT_BE_JUDGED, ...options }));
  const [sender, peer] = options.translate
    ? ((await forkClones(network, 2)) as [Allocation, Allocation])
    : await Promise.all([fork(network, "a"), fork(network, "b")]);
  const ears = [openOutsidePort(BRIDGE)];
  if (options.isolated === false) ears.push(openTap(peer));
  const self = options.translate ? SNAPSHOT : sender;
  return { network, self, outer: sender, guest: openTap(sender), ears };
}

const SCENES: [string, Partial<NetworkOptions>][] = [
  ["an isolated guest", {}],
  ["a guest beside a peer", { isolated: false }],
  ["a translated guest", { translate: true, isolated: false }],
];

/** What arrived at each ear before an honest frame that is sent behind. */
async function heardBy({ guest, ears, self }: Scene): Promise<Buffer[]> {
  const last = udpFrame({
    source: self.mac,
    destination: BROADCAST_MAC,
    sourceIp: self.ip,
    destinationIp: OUTSIDE_IP,
    destinationPort: 9,
    payload: MARK,
  });
  guest.send(last);
  const heard = await Promise.all(
    ears.map((ear) => ear.receiveUntil((frame) => frame.includes(MARK))),
  );
  return heard.flat();
}

function arpReply({ mac, ip }: Self): Buffer {
  const sender = { senderMac: mac, senderIp: ip };
  const frame = arpFrame({ operation: ARP_OPERATION.reply, ...sender, targetIp: OUTSIDE_IP });
  return Buffer.concat([frame, Buffer.alloc(2)]);
}

function datagram({ mac, ip }: Self, bytes = 6): Buffer {
  const ends = { source: mac, destination: BROADCAST_MAC, sourceIp: ip, destinationIp: OUTSIDE_IP };
  return udpFrame({ ...ends, destinationPort: 9999, payload: Buffer.alloc(bytes) });
}

/**
 * A frame whose checksum from `start`, over what it is on the bridge, comes out as `value`. `make` makes
 * it of an identity, with two zeros at its end.
 */
function forge({ self, outer }: Scene, make: (self: Self) => Buffer, start: number, value: number) {
  const frame = make(self);
  paddingFor(make(outer), start, value).copy(frame, frame.length - 2);
  return frame;
}

describe.each(SCENES)("%s", (_, options) => {
  it("cannot make a neighbour believe that it is the gateway", async () => {
    const scene = await sceneOf(options);
    const forged = forge(scene, arpReply, ARP_SUM_AT, 0x0001);
    scene.guest.sendWith({ checksum: { start: ARP_SUM_AT, at: ARP_FORGED_AT } }, forged);
    const spoken = (await heardBy(scene)).flatMap((frame) => parseFrame(frame).arp ?? []);
    expect(spoken.map(({ senderIp }) => senderIp)).toEqual([]);
    expect(scene.network.drops()).toMatchObject({ checksum: 1, arp: 0 });
  });

  it("cannot send to another port than was judged", async () => {
    const scene = await sceneOf(options);
    const forged = forge(scene, datagram, UDP_AT, 53);
    scene.guest.sendWith({ checksum: { start: UDP_AT, at: UDP_PORT_AT } }, forged);
    const sent = (await heardBy(scene)).flatMap((frame) => parseFrame(frame).udp ?? []);
    expect(sent.map(({ destinationPort }) => destinationPort)).toEqual([]);
    expect(scene.network.drops()).toMatchObject({ checksum: 1 });
  });

  it.runIf(CAN_JUDGE)("cannot have the host cut a frame into more than 256 pieces", async () => {
    const scene = await sceneOf(options);
    const checksum = { start: UDP_AT, at: UDP_AT + 6 };
    const pieces = { checksum, gsoType: GSO.udp, segmentBytes: 8 };
    const send = (bytes: number) =>
      scene.guest.sendWith(pieces, withPendingChecksum(datagram(scene.self, bytes)));
    send(257 * 8);
    expect(await heardBy(scene)).toEqual([]);
    expect(scene.network.drops()).toMatchObject({ checksum: 1 });
    send(200 * 8);
    // Its header is part of what is cut.
    expect(await heardBy(scene)).toHaveLength(scene.ears.length * 201);
    expect(scene.network.drops()).toMatchObject({ checksum: 1 });
  });

  it.runIf(CAN_JUDGE)("has its own checksums completed", async () => {
    const scene = await sceneOf(options);
    scene.guest.sendPending(withPendingChecksum(datagram(scene.self)));
    const heard = await heardBy(scene);
    expect(heard).toHaveLength(scene.ears.length);
    expect(heard.flatMap(wrongChecksums)).toEqual([]);
    expect(scene.network.drops()).toMatchObject({ checksum: 0 });
  });
});
