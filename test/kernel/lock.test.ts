// One process a network: who comes second is refused with the holder's pid, and a killed holder
// holds nothing.

import { describe, expect, it } from "vitest";
import { Agent } from "../support/agent.js";
import { destroyNetwork, expectNotOpened, openForTest, testOptions } from "../support/network.js";

const REQUEST = { instanceId: "vm-1", instanceName: "alpha" };

describe("a network that is open", () => {
  it("does not open again in its own process, and goes on", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await expectNotOpened(options, "CONFLICT", { holderPid: process.pid });
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("does not open with another state directory: the bridge is held", async () => {
    await openForTest();
    await expectNotOpened(testOptions(), "CONFLICT", { holderPid: process.pid });
  });

  it("does not lend its state directory to another bridge", async () => {
    const { stateDir } = await openNetworkOptions();
    await expectNotOpened(
      testOptions({ bridge: "vmbr1", subnet: "10.200.0.0/16", stateDir }),
      "CONFLICT",
      {
        holderPid: process.pid,
      },
    );
  });

  it("does not open in another process, which is told who has it", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    const agent = new Agent();
    await expect(agent.open(options)).rejects.toMatchObject({
      code: "ERR_FORKNET_CONFLICT",
      holderPid: process.pid,
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("does not open while another process has it, and does once that is killed", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    const { ip } = await agent.fork(REQUEST);
    await expectNotOpened(options, "CONFLICT", { holderPid: agent.pid });
    await agent.kill();
    const network = await openForTest(options);
    expect(network.getAllocation("vm-1")?.ip).toBe(ip);
  });

  it("opens again once it is closed", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    await first.close();
    const agent = new Agent();
    await agent.open(options);
    await agent.call("close");
    await openForTest(options);
  });

  it("leaves a network beside it alone", async () => {
    const first = await openForTest();
    const options = testOptions({ bridge: "vmbr1", subnet: "10.200.0.0/16" });
    const second = await openForTest(options);
    const [a, b] = await Promise.all([
      first.createAllocation(REQUEST),
      second.createAllocation(REQUEST),
    ]);
    expect(a.ip).toMatch(/^10\.100\./);
    expect(b.ip).toMatch(/^10\.200\./);
    await destroyNetwork(second, options);
    expect(first.getAllocation("vm-1")).toMatchObject({ state: "active", tap: a.tap });
    await first.updateLimits("vm-1", { download: "5mbit" });
  });
});

async function openNetworkOptions() {
  const options = testOptions();
  await openForTest(options);
  return options as { stateDir: string };
}
