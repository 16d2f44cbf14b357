// The control socket of an open network: who may use it, what it answers, and that nothing it is
// sent disturbs the agent.

import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { answerOf, ask, pathOf, Visitor } from "../support/control-visitor.js";
import { published } from "../support/events.js";
import { destroyNetwork, openForTest, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

describe("the control socket", () => {
  it("is for the agent's user, and goes with the network", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    expect(statSync(pathOf(options)).mode & 0o777).toBe(0o600);
    const files = ["control.sock", "lock", "options.json"];
    expect(readdirSync(options.stateDir as string).sort()).toEqual(files);
    await network.close();
    expect(existsSync(pathOf(options))).toBe(false);
  });

  it("of a killed holder is replaced by the next", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    await agent.kill();
    expect(existsSync(pathOf(options))).toBe(true);
    await openForTest(options);
    expect((await answerOf(options, "status")).result.holder.pid).toBe(process.pid);
  });

  it("that cannot be made is told, and the network serves", async () => {
    const failures = published("forknet:control-failed");
    const options = testOptions();
    mkdirSync(pathOf(options));
    const network = await openForTest(options);
    expect(failures).toMatchObject([{ bridge: "vmbr0", error: { code: "ERR_FORKNET_CONFIG" } }]);
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("may have a longer path than an address of a socket", async () => {
    const { stateDir } = testOptions() as { stateDir: string };
    await openForTest(testOptions({ stateDir: join(stateDir, "x".repeat(100), "y".repeat(100)) }));
    const { value } = await forknetJson(["status", "--interval", "0"]);
    expect(value).toMatchObject({ bridge: "vmbr0", source: "agent" });
  });

  it("does not keep the agent's process alive, nor does a visitor", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    await new Visitor(options).send(ask(1, "status"), 1);
    await agent.disconnected();
    await destroyNetwork(await openForTest(options), options);
  });
});

describe("a request", () => {
  it("is answered under its id, several on one connection in their order", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    const limits = { instanceId: "vm-1", download: "7mbit", upload: null };
    const answers = await new Visitor(options).send(
      ask(7, "limits", limits) + ask(8, "verify") + ask(9, "status"),
      3,
    );
    expect(answers.map(({ forknet, id }) => [forknet, id])).toEqual([
      [1, 7],
      [1, 8],
      [1, 9],
    ]);
    expect(answers[0]?.result.limits).toEqual({ download: 7e6, upload: null });
    expect(answers[1]?.result).toMatchObject({ compared: 1, differences: [] });
    expect(answers[2]?.result.guests).toMatchObject([{ instanceId: "vm-1", shaping: "shaped" }]);
  });

  it("that comes in pieces is put together", async () => {
    const options = testOptions();
    await openForTest(options);
    const visitor = new Visitor(options);
    const [head, tail] = [ask(1, "status").slice(0, 20), ask(1, "status").slice(20)];
    visitor.socket.write(head);
    expect(await visitor.send(tail, 1)).toMatchObject([{ id: 1, result: { bridge: "vmbr0" } }]);
  });

  it.each([
    ["an unknown id", "limits", { instanceId: "vm-9", download: "1mbit" }, "NOT_FOUND"],
    ["an unknown guest", "release", { instanceId: "vm-9" }, "NOT_FOUND"],
    ["an id that is none", "release", { instanceId: { toString: 1 } }, "CONFIG"],
    ["no id", "limits", { download: "1mbit" }, "CONFIG"],
    ["a limit over what HTB can hold", "limits", { instanceId: "vm-1", upload: 1e17 }, "CONFIG"],
    ["a limit under a byte", "limits", { instanceId: "vm-1", upload: 7 }, "CONFIG"],
    ["more than the capacity", "limits", { instanceId: "vm-1", upload: "2tbit" }, "EXHAUSTED"],
    ["a field it does not know", "release", { instanceId: "vm-1", force: true }, "CONFIG"],
    ["no method of ours", "constructor", {}, "CONFIG"],
    ["a method that is hidden", "__proto__", {}, "CONFIG"],
  ])("with %s is refused with its code, and changes nothing", async (_, method, params, code) => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    expect(await answerOf(options, method, params)).toMatchObject({
      id: 1,
      error: { code: `ERR_FORKNET_${code}` },
    });
    expect((await answerOf(options, "status")).result.guests).toMatchObject([
      { instanceId: "vm-1", limits: { download: 100e6, upload: { rate: 20e6, ceil: 80e6 } } },
    ]);
  });

  it.each([
    ["of another version", '{"forknet":2,"id":1,"method":"status"}\n', "UNSUPPORTED"],
    ["that is no JSON", "GET / HTTP/1.1\r\n", "CONFIG"],
    ["that is an array", "[]\n", "CONFIG"],
    ["that is null", "null\n", "CONFIG"],
    ["with an id that is none", '{"forknet":1,"id":-1,"method":"status"}\n', "CONFIG"],
    ["with params that are none", '{"forknet":1,"id":1,"method":"status","params":3}\n', "CONFIG"],
    ["without an end", "x".repeat(65_537), "CONFIG"],
  ])("%s is told so once, and ends the connection", async (_, bytes, code) => {
    const options = testOptions();
    await openForTest(options);
    const visitor = new Visitor(options);
    expect(await visitor.send(bytes, 1)).toMatchObject([
      { id: 0, error: { code: `ERR_FORKNET_${code}` } },
    ]);
    await visitor.ended();
    expect((await answerOf(options, "status")).result.bridge).toBe("vmbr0");
  });

  it("whose sender goes away is done, and the agent goes on", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    const visitor = new Visitor(options);
    visitor.socket.write(ask(1, "release", { instanceId: "vm-1" }), () => visitor.socket.destroy());
    await expect.poll(() => network.getAllocation("vm-1")).toBeUndefined();
    expect((await answerOf(options, "status")).result.guests).toEqual([]);
  });

  it("gets in when a crowd has gone that asked for nothing", async () => {
    const options = testOptions();
    await openForTest(options);
    const crowd = Array.from({ length: 40 }, () => new Visitor(options));
    await expect.poll(() => crowd.filter(({ isEnded }) => isEnded).length).toBe(24);
    for (const { socket } of crowd) socket.destroy();
    const isServed = () =>
      new Promise((resolve) => {
        const { socket } = new Visitor(options);
        socket.once("data", () => resolve(true)).once("close", () => resolve(false));
        socket.write(ask(1, "status"));
      });
    await expect.poll(isServed).toBe(true);
  });
});

describe("destroy", () => {
  it("is answered before the connection ends", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    const visitor = new Visitor(options);
    const answers = await visitor.send(ask(1, "destroy"), 1);
    expect(answers).toMatchObject([{ id: 1, result: { destroyed: "vmbr0" } }]);
    await visitor.ended();
    expect(existsSync(pathOf(options))).toBe(false);
    await expect(network.createAllocation(REQUEST)).rejects.toMatchObject({
      code: "ERR_FORKNET_CLOSED",
    });
  });
});
