// Visitors of the control socket who do not keep to the manners of the command: they end their side
// early, say nothing, do not listen, or come in crowds. The agent and the command get on.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { answerOf, ask, pathOf, Visitor } from "../support/control-visitor.js";
import { destroyedAtEnd, destroyNetwork, openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";
import { NOBODY, squat } from "../support/squatter.js";
import { openHeld } from "../support/traffic-network.js";

const CROWD = 1000;
const SERVED = 16;
const SHORT_MS = 200;

/** A network that leaves idle visitors after a moment. */
async function openImpatient(options: NetworkOptions) {
  const network = await openWith(options, { controlIdleMs: SHORT_MS });
  onTestFinished(() => destroyNetwork(network, options));
  return network;
}

/** What comes back when all is sent and this side ended, whatever the other side does then. */
async function halfClosed(options: NetworkOptions, bytes: string): Promise<string> {
  const socket = connect({ path: pathOf(options), allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  socket.end(bytes);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return text;
}

/** Connections that say nothing; what each was told. */
async function crowd(options: NetworkOptions, size: number) {
  const visitors = Array.from({ length: size }, () => {
    const socket = connect({ path: pathOf(options) });
    const visitor = { socket, text: "", isEnded: false };
    socket.setEncoding("utf8").on("data", (text: string) => {
      visitor.text += text;
    });
    socket
      .on("error", () => {})
      .on("close", () => {
        visitor.isEnded = true;
      });
    return visitor;
  });
  onTestFinished(() => {
    for (const { socket } of visitors) socket.destroy();
  });
  return visitors;
}

const served = (visitors: readonly { isEnded: boolean }[]) =>
  visitors.filter(({ isEnded }) => !isEnded).length;

describe("a visitor who ends his side", () => {
  const status = ask(1, "status");
  it.each([
    ["behind a request", status, [1]],
    ["behind a request without a line's end", status.trimEnd(), [1]],
    ["behind three requests", status + ask(2, "verify") + ask(3, "status"), [1, 2, 3]],
    ["in the middle of a request", status.slice(0, 20), [0]],
    ["and said nothing", "", []],
  ])("%s gets his answers", async (_, bytes, ids) => {
    const options = testOptions();
    await openForTest(options);
    const lines = (await halfClosed(options, bytes)).split("\n").slice(0, -1);
    expect(lines.map((line) => (JSON.parse(line) as { id: number }).id)).toEqual(ids);
  });

  it("gets the answer of what takes long", async () => {
    const options = testOptions();
    const { network, hold, isHeld, letGo } = await openHeld(options, "qdisc.tbf,change");
    await network.createAllocation(REQUEST);
    hold();
    const answer = halfClosed(options, ask(1, "limits", { instanceId: "vm-1", download: "7mbit" }));
    await expect.poll(isHeld, { timeout: patiently(10_000) }).toBe(true);
    letGo();
    expect(JSON.parse(await answer)).toMatchObject({
      id: 1,
      result: { limits: { download: 7e6 } },
    });
  });
});

describe("a visitor is left", () => {
  const quiet: [string, (visitor: Visitor) => unknown][] = [
    ["who says nothing", () => undefined],
    ["who says nothing more", (visitor) => visitor.send(ask(1, "status"), 1)],
    ["who does not end his line", (visitor) => visitor.socket.write('{"forknet":1')],
    [
      "who goes on and on and does not end his line",
      (visitor) => {
        const timer = setInterval(() => visitor.socket.write(" "), SHORT_MS / 10);
        visitor.socket.once("close", () => clearInterval(timer));
      },
    ],
  ];
  it.each(quiet)("%s", async (_, act) => {
    const options = testOptions();
    await openImpatient(options);
    const visitor = new Visitor(options);
    await act(visitor);
    await visitor.ended();
    expect((await answerOf(options, "status")).result.bridge).toBe("vmbr0");
  });

  it("who asks and does not read the answers", async () => {
    const options = testOptions();
    const network = await openImpatient(options);
    await network.createAllocation(REQUEST);
    const socket = connect({ path: pathOf(options) });
    onTestFinished(() => void socket.destroy());
    let isCut = false;
    socket.on("error", () => {}).pause();
    // More answers than the kernel keeps for one who does not read: what the agent kept would be lost to it.
    const requests = Array.from({ length: 200 }, (_, i) => ask(i + 1, "status")).join("");
    const send = (error?: Error | null) => {
      isCut = error instanceof Error;
      if (!isCut) socket.write(requests, send);
    };
    send();
    await expect.poll(() => isCut, { timeout: patiently(20_000) }).toBe(true);
    expect((await answerOf(options, "status")).result.bridge).toBe("vmbr0");
  });

  it("but not one who waits for what takes longer", async () => {
    const options = testOptions();
    const internals = { controlIdleMs: SHORT_MS };
    const { network, hold, isHeld, letGo } = await openHeld(options, "qdisc.tbf,change", internals);
    await network.createAllocation(REQUEST);
    hold();
    const visitor = new Visitor(options);
    const limits = { instanceId: "vm-1", download: "7mbit" };
    const answered = visitor.send(ask(1, "limits", limits), 1);
    await expect.poll(isHeld, { timeout: patiently(10_000) }).toBe(true);
    await setTimeout(3 * SHORT_MS);
    expect(visitor.isEnded).toBe(false);
    letGo();
    expect(await answered).toMatchObject([{ id: 1, result: { limits: { download: 7e6 } } }]);
  });
});

describe(`a crowd of ${CROWD} that asks for nothing`, () => {
  it("keeps a command out, which says so", async () => {
    const options = testOptions();
    const network = await openWith(options, { controlIdleMs: 600_000 });
    onTestFinished(() => destroyNetwork(network, options));
    const visitors = await crowd(options, CROWD);
    await expect.poll(() => served(visitors), { timeout: patiently(20_000) }).toBe(SERVED);
    for (const place of [[], ["-d", options.stateDir as string]])
      expect(await forknetJson(["release", "vm-1", ...place])).toMatchObject({
        code: 5,
        value: {
          error: {
            code: "ERR_FORKNET_CONFLICT",
            holderPid: process.pid,
            message: expect.stringMatching(/16 connections.*takes no more/) as string,
          },
        },
      });
    for (const { socket } of visitors) socket.destroy();
    const status = () => forknetJson(["status", "--interval", "0"]);
    await expect.poll(async () => (await status()).code, { timeout: patiently(20_000) }).toBe(0);
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("is left by the agent, and a command gets in while it stays", async () => {
    const options = testOptions();
    await openImpatient(options);
    const visitors = await crowd(options, CROWD);
    await expect.poll(() => served(visitors), { timeout: patiently(20_000) }).toBe(0);
    expect((await forknetJson(["status", "--interval", "0"])).value.source).toBe("agent");
  });

  it("before an agent that hangs is told apart from no agent, whoever has its name", async () => {
    await squat("forknet/vmbr0", "answers");
    const options = testOptions();
    destroyedAtEnd(options);
    const agent = new Agent();
    await agent.open(options);
    await agent.fork(REQUEST);
    process.kill(agent.pid, "SIGSTOP");
    const visitors: Socket[] = [];
    onTestFinished(() => {
      for (const socket of visitors) socket.destroy();
    });
    // As many as the kernel lets wait.
    for (let isFull = false; !isFull; ) {
      const socket = connect({ path: pathOf(options) });
      visitors.push(socket);
      isFull = await once(socket, "connect").then(
        () => false,
        () => true,
      );
    }
    const release = await forknetJson(["release", "vm-1", "-d", options.stateDir as string]);
    expect(release).toMatchObject({
      code: 5,
      value: { error: { holderPid: agent.pid, message: expect.stringMatching(/hangs/) as string } },
    });
    process.kill(agent.pid, "SIGCONT");
    for (const socket of visitors) socket.destroy();
    expect(await agent.call("getAllocation", "vm-1")).toMatchObject({ state: "active" });
  });
});

it("who is neither root nor the agent's user is turned away, whatever the socket's mode", async () => {
  const options = testOptions();
  const network = await openForTest(options);
  await network.createAllocation(REQUEST);
  chmodSync(options.stateDir as string, 0o711);
  chmodSync(pathOf(options), 0o666);
  const request = ask(1, "release", { instanceId: "vm-1" });
  const script = `process.setgroups([]); process.setuid(${NOBODY});
    const socket = require("node:net").connect(process.argv[1]);
    socket.on("error", () => {}).pipe(process.stdout); socket.write(process.argv[2]);`;
  const child = spawn(process.execPath, ["-e", script, pathOf(options), request], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await once(child, "close");
  expect(JSON.parse(text)).toMatchObject({
    id: 0,
    error: { code: "ERR_FORKNET_PERMISSION", message: expect.stringContaining(`uid ${NOBODY}`) },
  });
  expect(network.getAllocation("vm-1")?.state).toBe("active");
});
