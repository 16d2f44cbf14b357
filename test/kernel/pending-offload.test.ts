// Guests with a TCP/IP stack of their own that leave checksums and segments to their card, as Linux
// does on virtio: nothing of it is lost, by either way of judging, translated or not.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { TcpService } from "../../dist/stand-in/tcp-service.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import { forkClones, SNAPSHOT, wake } from "../support/clones.js";
import { HELPERS_WORK } from "../support/judging.js";
import { IS_BEFORE_6_2 } from "../support/kernel-release.js";
import { destroyNetwork, testOptions } from "../support/network.js";
import { expectNoChecksumErrors } from "../support/stack-errors.js";
import { plugIn } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const FLOW_BYTES = 8_000_000;
const LARGEST_FRAME_BYTES = 1514;
const SEGMENT_BYTES = 1000;
const DATAGRAM_BYTES = 2500;
const COUNT = 20;
/** Datagrams of which each stands for several: UDP_SEGMENT of SOL_UDP. */
const SEND_SEGMENTS = `
import socket, sys
host, port, count, size, segment = sys.argv[1], *map(int, sys.argv[2:])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(17, 103, segment)
for _ in range(count): sender.sendto(bytes(size), (host, port))
`;
const WAYS = IS_BEFORE_6_2 ? ["helpers"] : HELPERS_WORK ? ["kfunc", "helpers"] : ["kfunc"];
const SCENES = WAYS.flatMap((way) => [
  { way, translate: false },
  { way, translate: true },
]);

/** What the guest's card has sent. */
function sentBy(guest: Guest): { bytes: number; frames: number } {
  const line = /^ *eth0:(.*)$/m.exec(readFileSync(`/proc/${guest.pid}/net/dev`, "utf8"))?.[1] ?? "";
  const columns = line.trim().split(/\s+/).map(Number);
  return { bytes: columns[8] as number, frames: columns[9] as number };
}

describe.each(SCENES)("by $way, translated: $translate", ({ way, translate }) => {
  let network: Network;
  let guest: Guest;
  let gateway: string;

  beforeEach(async () => {
    const options = testOptions({ translate });
    const kernelModule = new URL("../support/no-kfuncs-kernel.mjs", import.meta.url).href;
    network = await openWith(options, way === "helpers" ? { kernelModule } : {});
    onTestFinished(() => destroyNetwork(network, options));
    const whole = { instanceId: "vm-1", instanceName: "web-1", download: null, upload: null };
    const vm = translate
      ? ((await forkClones(network, 1))[0] as Allocation)
      : await network.createAllocation(whole);
    guest = await (translate ? wake(vm) : plugIn(vm));
    gateway = translate ? SNAPSHOT.gateway : GATEWAY;
  });

  it("TCP segments of many frames arrive whole", async () => {
    const flow = { bytes: translate ? FLOW_BYTES / 8 : FLOW_BYTES, digest: true };
    const sink = await TcpService.listen({ role: "sink", digest: true });
    onTestFinished(() => sink.close());
    const sent = await guest.sendTcp({ host: gateway, port: sink.port, ...flow });
    const { bytes, frames } = sentBy(guest);
    expect(await sink.nextReport()).toMatchObject({ bytes: flow.bytes, digest: sent.digest });
    expect(bytes / frames).toBeGreaterThan(2 * LARGEST_FRAME_BYTES);
    expectNoChecksumErrors(undefined, guest);
    expect(network.drops()).toMatchObject({ checksum: 0, malformed: 0 });
  });

  it("UDP segments arrive as datagrams of their own", async () => {
    const onHost = await UdpService.listen({});
    onTestFinished(() => onHost.close());
    const before = sentBy(guest);
    const numbers = [onHost.port, COUNT, DATAGRAM_BYTES, SEGMENT_BYTES].map(String);
    const words = ["python3", "-c", SEND_SEGMENTS, gateway, ...numbers];
    execFileSync("nsenter", [`--net=/proc/${guest.pid}/ns/net`, ...words]);
    const datagrams = COUNT * Math.ceil(DATAGRAM_BYTES / SEGMENT_BYTES);
    const all = { datagrams, bytes: COUNT * DATAGRAM_BYTES };
    await expect.poll(() => onHost.report()).toMatchObject(all);
    // The card cut them, but for the ARP request: a TAP does since Linux 6.2.
    const most = IS_BEFORE_6_2 ? datagrams : COUNT;
    expect(sentBy(guest).frames - before.frames).toBeLessThanOrEqual(most + 2);
    expectNoChecksumErrors(undefined, guest);
    expect(network.drops()).toMatchObject({ checksum: 0, malformed: 0 });
  });
});
