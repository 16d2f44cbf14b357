// Thirty clones with one identity in memory, all at once: by hand-made frames of one and the same
// inner flow, and as stand-in guests with stacks of their own.

import { createSocket } from "node:dgram";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { wrongChecksums } from "../support/checksums.js";
import { FROM_CLONE, forkClones, SNAPSHOT, wake } from "../support/clones.js";
import { parseFrame, udpFrame } from "../support/frames.js";
import { INTERNET_IP, openInternet, setForwarding, UPLINK_IP } from "../support/internet.js";
import { openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { answersPing } from "../support/ping.js";
import { RawTap } from "../support/raw-tap.js";
import { expectNoChecksumErrors } from "../support/stack-errors.js";

const MANY = 30;
const SIZES_BYTES = [1, 1472, 8000];
const FLOW_BYTES = 1_000_000;
const ANSWER_MS = patiently(5000);

it("serves thirty at once on one inner flow", async () => {
  const internet = await openInternet({ vnetHdr: false });
  const nat = { enableForwarding: true };
  const network = await openForTest(testOptions({ translate: true, nat }));
  const { port } = await internet.listenUdp({ echo: true });
  const clones = await forkClones(network, MANY);
  const taps = clones.map(({ tap }) => new RawTap({ tap }));
  onTestFinished(() => {
    for (const tap of taps) tap.close();
  });
  const ends = { ...FROM_CLONE, destinationIp: INTERNET_IP, destinationPort: port };
  for (const [i, tap] of taps.entries()) tap.send(udpFrame({ ...ends, payload: `of clone ${i}.` }));
  for (const [i, tap] of taps.entries()) {
    const answer = await tap.receive((frame) => frame.includes(`of clone ${i}.`));
    expect(answer, `the answer to clone ${i}`).toBeDefined();
    const frame = answer as Buffer;
    expect(parseFrame(frame)).toMatchObject({
      source: SNAPSHOT.gatewayMac,
      destination: SNAPSHOT.mac,
      ipv4: { sourceIp: INTERNET_IP, destinationIp: SNAPSHOT.ip },
    });
    expect(wrongChecksums(frame)).toEqual([]);
  }
});

describe.each([
  ["routed", false],
  ["masqueraded", true],
] as const)("thirty guests at once, %s", (_, isMasqueraded) => {
  it("are reached and reach by ping, UDP and TCP, each for itself", async () => {
    setForwarding(true);
    const internet = await openInternet({ isRouted: !isMasqueraded, vnetHdr: false });
    const nat = isMasqueraded ? {} : (false as const);
    const network = await openForTest(testOptions({ translate: true, nat }));
    const clones = await forkClones(network, MANY);
    const guests = await Promise.all(clones.map((clone) => wake(clone)));
    const all = <T>(ask: (guest: Guest, clone: Allocation) => Promise<T>) =>
      Promise.all(guests.map((guest, i) => ask(guest, clones[i] as Allocation)));
    const each = <T>(value: T) => clones.map(() => value);

    for (const size of [56, 8000]) {
      expect(await all((_guest, { ip }) => answersPing(ip, size))).toEqual(each(true));
      expect(await all((guest) => answersPing(INTERNET_IP, size, guest))).toEqual(each(true));
    }

    // A socket each: what thirty send at once is more than the buffer of one holds.
    const echoes = await all(() => internet.listenUdp({ echo: true }));
    const ports = echoes.map(({ port }) => port);
    for (const sizeBytes of SIZES_BYTES) {
      const asked = { host: INTERNET_IP, sizeBytes, timeoutMs: ANSWER_MS, attempts: 1 };
      const ask = (guest: Guest, i: number) => guest.echoUdp({ ...asked, port: ports[i] ?? 0 });
      const answers = await Promise.all(guests.map(ask));
      expect(answers.map((ms) => ms !== undefined)).toEqual(each(true));
    }
    const heard = await Promise.all(echoes.map((echo) => echo.report()));
    expect(heard.map(({ sources }) => sources)).toEqual(
      clones.map(({ ip }) => ({ [isMasqueraded ? UPLINK_IP : ip]: SIZES_BYTES.length })),
    );

    await expectOneDatagramEach(guests, clones);

    const flow = { bytes: FLOW_BYTES, digest: true };
    const sink = await internet.serveTcp({ role: "sink", digest: true });
    const sent = await all((guest) =>
      guest.sendTcp({ host: INTERNET_IP, port: sink.port, ...flow }),
    );
    const { digest } = sent[0] ?? {};
    const whole = { bytes: FLOW_BYTES, digest };
    expect(await all(() => sink.nextReport())).toMatchObject(each(whole));
    const source = await internet.serveTcp({ role: "source", ...flow });
    const from = { host: INTERNET_IP, port: source.port, digest: true };
    expect(await all((guest) => guest.receiveTcp(from))).toMatchObject(each(whole));

    const { untranslatable, gate_malformed, ip, mac } = network.drops();
    expect([untranslatable, gate_malformed, ip, mac]).toEqual([0, 0, 0, 0]);
    expectNoChecksumErrors(undefined, internet, ...guests);
  });
});

/** From the host, of another length for each guest: what is whose is told by its bytes. */
async function expectOneDatagramEach(guests: readonly Guest[], clones: readonly Allocation[]) {
  const services = await Promise.all(guests.map((guest) => guest.listenUdp()));
  const socket = createSocket("udp4");
  try {
    for (const [i, { ip }] of clones.entries())
      socket.send(Buffer.alloc(100 + i), services[i]?.port ?? 0, ip);
    const reports = () => Promise.all(services.map((service) => service.report()));
    await expect.poll(reports).toEqual(
      clones.map((_, i) => ({
        datagrams: 1,
        bytes: 100 + i,
        sources: { [SNAPSHOT.gateway]: 1 },
      })),
    );
  } finally {
    socket.close();
  }
}
