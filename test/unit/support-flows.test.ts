// The traffic that kernel tests send, over loopback: integrity, limits, and ends that no peer can
// hold up.

import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Guest } from "../../src/stand-in/guest.js";
import {
  probeTcp,
  receiveTcp,
  sendTcp,
  TcpService,
  type TcpServiceOptions,
} from "../../src/stand-in/tcp-service.js";
import { measureTcp } from "../../src/stand-in/traffic.js";
import { echoUdp, sendUdp, UdpService } from "../../src/stand-in/udp-service.js";

const HOST = "127.0.0.1";

async function listen(options: TcpServiceOptions): Promise<TcpService> {
  const service = await TcpService.listen({ host: HOST, ...options });
  onTestFinished(() => service.close());
  return service;
}

describe("TCP", () => {
  it.each([0, 1, 65_536, 1_000_003])("carries %i bytes to a sink intact", async (bytes) => {
    const sink = await listen({ role: "sink", digest: true });
    const sent = await sendTcp({ host: HOST, port: sink.port, bytes, digest: true });
    const received = await sink.nextReport();
    expect(received.bytes).toBe(bytes);
    expect(received.digest).toBe(sent.digest);
  });

  it("receives a whole source", async () => {
    const source = await listen({ role: "source", bytes: 300_000, digest: true });
    const received = await receiveTcp({ host: HOST, port: source.port, digest: true });
    expect(received.bytes).toBe(300_000);
    expect(received.digest).toBe((await source.nextReport()).digest);
  });

  it("ends a flow without limits when the receiver has seen enough", async () => {
    const source = await listen({ role: "source" });
    const received = await receiveTcp({
      host: HOST,
      port: source.port,
      warmUpMs: 10,
      durationMs: 50,
    });
    expect(received.goodput.bitsPerSecond).toBeGreaterThan(0);
    expect((await source.nextReport()).bytes).toBeGreaterThanOrEqual(received.bytes);
  });

  it("stops sending after a duration", async () => {
    const sink = await listen({ role: "sink" });
    const sent = await sendTcp({ host: HOST, port: sink.port, durationMs: 30 });
    expect((await sink.nextReport()).bytes).toBe(sent.bytes);
  });

  it("gives up on a sender that says nothing", async () => {
    const sink = await listen({ role: "sink", firstByteMs: 20 });
    const silent = connect({ host: HOST, port: sink.port });
    onTestFinished(() => void silent.destroy());
    await expect(sink.nextReport()).rejects.toThrow("No byte arrived within 20 ms");
  });

  it("returns what an echo gets", async () => {
    const echo = await listen({ role: "echo" });
    const socket = connect({ host: HOST, port: echo.port });
    socket.end("there and back");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toBe("there and back");
  });

  it("tells a refusal from a connection", async () => {
    const echo = await listen({ role: "echo" });
    expect(await probeTcp({ host: HOST, port: echo.port })).toBe("connected");
    await echo.close();
    await echo.close();
    expect(await probeTcp({ host: HOST, port: echo.port })).toBe("ECONNREFUSED");
  });
});

describe("measureTcp", () => {
  // The guest's half of the conversation, in this process.
  const guest = { sendTcp, receiveTcp } as unknown as Guest;

  it.each(["upload", "download"] as const)("measures an %s", async (direction) => {
    const goodput = await measureTcp({
      guest,
      hostIp: HOST,
      direction,
      seconds: 0.1,
      warmUpSeconds: 0.02,
    });
    expect(goodput.bitsPerSecond).toBeGreaterThan(0);
    expect(goodput.seconds).toBeLessThan(1);
  });

  it("rejects when the guest cannot connect", async () => {
    const lost = { sendTcp: () => Promise.reject(new Error("no route")) } as unknown as Guest;
    await expect(
      measureTcp({ guest: lost, hostIp: HOST, direction: "upload", seconds: 1 }),
    ).rejects.toThrow("no route");
  });
});

describe("UDP", () => {
  it("counts datagrams by their sender", async () => {
    const service = await UdpService.listen({ host: HOST });
    const sent = await sendUdp({
      host: HOST,
      port: service.port,
      count: 20,
      perSecond: 2000,
      sizeBytes: 10,
    });
    expect(sent).toEqual({ sent: 20, refused: 0 });
    await expect
      .poll(() => service.report())
      .toEqual({ datagrams: 20, bytes: 200, sources: { [HOST]: 20 } });
    await service.close();
    await service.close();
  });

  it("gets an answer from an echo only", async () => {
    const echo = await UdpService.listen({ host: HOST, echo: true });
    const mute = await UdpService.listen({ host: HOST });
    expect(await echoUdp({ host: HOST, port: echo.port })).toBeGreaterThan(0);
    expect(
      await echoUdp({ host: HOST, port: mute.port, timeoutMs: 20, attempts: 2 }),
    ).toBeUndefined();
    await Promise.all([echo.close(), mute.close()]);
  });
});
