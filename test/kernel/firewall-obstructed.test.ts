// What stands in the way of a firewall that is to be put back: a connection that came about without it,
// a table that its owner lets nobody change, no descriptor to run a command with.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { published } from "../support/events.js";
import { firewall, HOST_IP, readRules, setForwarding } from "../support/internet.js";
import { LongFlow } from "../support/long-flow.js";
import { DROPPED, hostPort, openPlace, probeDropped } from "../support/nat-place.js";
import { patiently } from "../support/patience.js";

const TABLE = "table ip forknet-vmbr0";
const SOON = { timeout: patiently(8000), interval: 50 };
const COMMAND = new URL("../../dist/nat/command.js", import.meta.url).href;

beforeEach(() => setForwarding(true));

const hasTable = () => readRules().some((line) => line.startsWith(TABLE));

it("a connection that came about without it carries nothing any more", async () => {
  const { guest, network } = await openPlace({ repair: false });
  firewall("nft flush ruleset");
  const flow = await LongFlow.start(guest, HOST_IP, "upload");
  expect((await flow.over(500)).bitsPerSecond).toBeGreaterThan(0);
  await network.reconcile();
  // What had arrived before is read by now.
  await flow.settle(500);
  expect((await flow.over(1000)).bitsPerSecond).toBe(0);
  expect(await network.verify()).toMatchObject({ differences: [] });
});

/** Makes a table that drops what is forwarded, and that nobody but a process of nft's may change. */
async function ownedTable(): Promise<void> {
  const owner = spawn("nft", ["-i"], { stdio: ["pipe", "ignore", "inherit"] });
  onTestFinished(async () => {
    const exited = once(owner, "exit");
    owner.kill();
    await exited;
  });
  owner.stdin.write("add table inet owned { flags owner; }\n");
  owner.stdin.write(
    "add chain inet owned forward { type filter hook forward priority 10; policy drop; }\n",
  );
  await expect
    .poll(() => readRules().join("\n"), SOON)
    .toContain("chain forward {\n\t\ttype filter hook forward priority filter + 10");
}

it("the own table is back although another may not be changed, which is told", async () => {
  const { guest, network } = await openPlace({});
  const port = await hostPort();
  await ownedTable();
  const failed = published("forknet:repair-failed");
  const drift = published("forknet:drift");
  firewall(`nft delete ${TABLE}`);
  await expect.poll(hasTable, SOON).toBe(true);
  expect(await probeDropped(guest, HOST_IP, port)).toBe(DROPPED);
  await expect.poll(() => failed.length, SOON).toBeGreaterThan(0);
  expect(failed[0]?.error).toMatchObject({
    code: "ERR_FORKNET_PERMISSION",
    message: expect.stringContaining("no table with a forward chain that a process owns") as string,
  });
  expect((await network.verify()).differences.map(({ what }) => what)).toEqual(["nat-accept"]);
  // What is right is not told as drift.
  expect(drift.map(({ found }) => found)).not.toContain("changed");
});

it("without a free descriptor a command is refused, and the process lives", () => {
  const script = `
    import { openSync } from "node:fs";
    import { run } from ${JSON.stringify(COMMAND)};
    try { for (;;) openSync("/dev/null"); } catch {}
    run("nft", ["list", "ruleset"]).catch(({ code, message }) => console.log(code, message));
  `;
  const shell = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
  const said = execFileSync("sh", ["-c", shell, process.execPath, script], {
    encoding: "utf8",
    cwd: fileURLToPath(new URL(".", import.meta.url)),
  });
  expect(said).toBe("ERR_FORKNET_KERNEL cannot run nft: EMFILE\n");
});
