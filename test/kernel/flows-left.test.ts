// Flows of a guest whose agent died, or that nobody released: whichever way its address becomes free,
// the next guest with it does not get the last one's late answers. And who is still there keeps its own.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { decodeLine, encodeLine } from "../../src/lease/standby-record.js";
import { Agent } from "../support/agent.js";
import { published } from "../support/events.js";
import { ERRNO, Faults } from "../support/faults.js";
import { setForwarding, UPLINK, UPLINK_IP } from "../support/internet.js";
import { deleteLink } from "../support/kernel-view.js";
import { type Asked, plug, SlowInternet } from "../support/late-answers.js";
import { destroyNetwork, openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { STORE_FILE } from "../support/standby-leases.js";

const IP = "10.100.0.7";
const FIRST = { instanceId: "a", instanceName: "a", ip: IP };
const NEXT = { instanceId: "b", instanceName: "b", ip: IP };
/** More operations than any release has. */
const MOST_OPERATIONS = 20;
/** For deletions in the background. */
const SETTLE = { timeout: patiently(10_000) };

let internet: SlowInternet;
let options: NetworkOptions & { stateDir: string };

beforeEach(async () => {
  setForwarding(true);
  internet = await SlowInternet.open();
  options = testOptions({ nat: {} }) as typeof options;
});

/** A guest's question that nobody has answered yet. */
async function question(guest: Pick<Allocation, "tap" | "ip" | "mac">): Promise<Asked> {
  const asked = await internet.question(guest);
  expect(asked.sourceIp).toBe(UPLINK_IP);
  return asked;
}

/** Another guest gets the address as soon as it is free. */
async function next(network: Network): Promise<Allocation> {
  let guest: Allocation | undefined;
  await expect
    .poll(async () => {
      guest = await network.createAllocation(NEXT).catch((error) => {
        expect(error).toMatchObject({ code: "ERR_FORKNET_ADDRESS_IN_USE" });
        return undefined;
      });
      return guest !== undefined;
    }, SETTLE)
    .toBe(true);
  return guest as Allocation;
}

describe("an agent that dies", () => {
  /** False when the release was over before it could. */
  async function diesInRelease(operations: number): Promise<{ died: boolean; asked: Asked }> {
    const agent = new Agent();
    await agent.openLethal(options);
    const asked = await question(await agent.fork(FIRST));
    await agent.dieAfter(operations);
    const died = await agent.call("releaseAllocation", "a").then(
      () => false,
      () => true,
    );
    await agent.kill();
    return { died, asked };
  }

  it("in a release, at whichever operation, leaves no flows to the next guest", async () => {
    let deaths = 0;
    for (let operations = 0; operations < MOST_OPERATIONS; operations++) {
      const { died, asked } = await diesInRelease(operations);
      if (died) deaths++;
      const network = await openForTest(options);
      // Not yet begun: the guest is live, and released now.
      await network.releaseAllocation("a");
      const guest = await next(network);
      expect(await internet.reaches(guest, asked), `after ${operations} operations`).toBe(false);
      await destroyNetwork(network, options);
      if (!died) break;
    }
    expect(deaths).toBeGreaterThanOrEqual(4);
  });

  it("and whose guest's TAP is deleted while nobody looks leaves none either", async () => {
    const agent = new Agent();
    await agent.open(options);
    const guest = await agent.fork(FIRST);
    const asked = await question(guest);
    await agent.kill();
    deleteLink(guest.tap);
    const network = await openForTest(options);
    expect(await internet.reaches(await next(network), asked)).toBe(false);
  });

  it("leaves to its guests, live or in standby, what is theirs", async () => {
    const agent = new Agent();
    await agent.open(options);
    const live = await agent.fork(FIRST);
    const stored = await agent.fork({ instanceId: "c", instanceName: "c" });
    const asked = [await question(live), await question(stored)] as const;
    await agent.call("standbyAllocation", "c");
    await agent.kill();
    const network = await openForTest(options);
    const back = await network.recreateAllocation("c");
    expect(await internet.answer(plug(live), asked[0], "of the live one")).toBeDefined();
    expect(await internet.answer(plug(back), asked[1], "of the one in standby")).toBeDefined();
  });
});

it("a record that is set aside leaves its address without flows", async () => {
  const first = await openForTest(options);
  const asked = await question(await first.createAllocation(FIRST));
  await first.createAllocation({ instanceId: "c", instanceName: "c" });
  await first.standbyAllocation("a");
  await first.close();
  const path = join(options.stateDir, STORE_FILE);
  const lines = readFileSync(path, "latin1").split("\n").slice(0, -1).map(decodeLine) as object[];
  const rivals = lines.map((line) =>
    "lease" in line ? { ...line, lease: { ...(line.lease as object), instanceName: "c" } } : line,
  );
  writeFileSync(path, rivals.map(encodeLine).join(""));
  const network = await openForTest(options);
  expect(network.storeDamage).toHaveLength(1);
  expect(await internet.reaches(await next(network), asked)).toBe(false);
});

it("a guest whose TAP was deleted under its agent leaves none when reconcile releases it", async () => {
  const network = await openForTest(options);
  const guest = await network.createAllocation(FIRST);
  const asked = await question(guest);
  deleteLink(guest.tap);
  await network.reconcile();
  expect(await internet.reaches(await next(network), asked)).toBe(false);
});

it("a network without NAT leaves none where the host's own rules translate", async () => {
  const nft = (...args: string[]) => execFileSync("nft", args);
  nft("add table ip operator");
  onTestFinished(() => void nft("delete table ip operator"));
  nft("add chain ip operator nat { type nat hook postrouting priority 100 ; }");
  nft(`add rule ip operator nat oifname ${UPLINK} masquerade`);
  const { nat: _, ...plain } = options;
  const network = await openForTest(plain);
  const asked = await question(await network.createAllocation(FIRST));
  await network.releaseAllocation("a");
  expect(await internet.reaches(await next(network), asked)).toBe(false);
});

it("an open that may not forget them tells it, and serves its guests all the same", async () => {
  const first = await openForTest(options);
  const guest = await first.createAllocation(FIRST);
  await question(guest);
  await first.close();
  deleteLink(guest.tap);
  const kept = published("forknet:flows-kept");
  const faults = new Faults();
  faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "CT_DELETE" });
  const network = await openWith(options, { kernelModule: faults.module });
  onTestFinished(() => destroyNetwork(network, options));
  expect(kept).toMatchObject([{ ip: "10.100.0.0/16", error: { errnoName: "EPERM" } }]);
  expect((await next(network)).state).toBe("active");
});
