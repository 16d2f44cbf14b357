// The name of a network's lock, which any user of the network namespace can take: whoever is not
// trusted stops no agent and is not believed.

import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { diagnose } from "../../dist/doctor/doctor.js";
import type { NetworkOptions } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forknet, forknetJson } from "../support/cli.js";
import { findingOf, mend } from "../support/diagnosis.js";
import { published } from "../support/events.js";
import { linkNamed } from "../support/kernel-view.js";
import { destroyedAtEnd, expectNotOpened, openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";
import { impersonate, type Kind, kill, NOBODY, squat } from "../support/squatter.js";
import { addon } from "./addon-fixture.js";

const NAME = "forknet/vmbr0";
const WARNING = /process \d+ of uid 65534 has taken the name .*@forknet\/vmbr0/;
const kinds: Kind[] = ["answers", "binds", "is full"];

/** A directory of nobody's whose control socket calls everything done, and a name that leads there. */
async function trap() {
  const directory = mkdtempSync(join(tmpdir(), "forknet-trap-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  chownSync(directory, NOBODY, NOBODY);
  await impersonate(join(directory, "control.sock"));
  return { directory, says: `${JSON.stringify({ stateDir: directory })}\n` };
}

/** A guest whose agent was killed. */
async function abandonedGuest() {
  const options = testOptions() as NetworkOptions & { stateDir: string };
  destroyedAtEnd(options);
  const agent = new Agent();
  await agent.open(options);
  const { tap } = await agent.fork(REQUEST);
  await agent.kill();
  return { options, tap };
}

describe.each(kinds)("somebody who takes the name and %s", (kind) => {
  it("stops no agent, is told, and the lock of the directory decides", async () => {
    const squatter = await squat(NAME, kind);
    const told = published("forknet:name-taken");
    const options = testOptions();
    const network = await openForTest(options);
    const who =
      kind === "answers" ? { pid: squatter.pid, uid: NOBODY } : { pid: 0, uid: undefined };
    expect(told).toEqual([{ bridge: "vmbr0", name: `@${NAME}`, ...who }]);
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
    const other = new Agent();
    await expect(other.open(options)).rejects.toMatchObject({
      code: "ERR_FORKNET_CONFLICT",
      holderPid: process.pid,
    });
    const { code, value } = await forknetJson([
      "release",
      "vm-1",
      "-d",
      options.stateDir as string,
    ]);
    expect({ code, value }).toEqual({ code: 0, value: { released: "vm-1" } });
    expect(network.listAllocations()).toEqual([]);
  });

  it("loses it to the agent when it ends", async () => {
    const squatter = await squat(NAME, kind);
    await openForTest();
    await kill(squatter);
    await expect.poll(listener, { timeout: patiently(10_000) }).toBe(process.pid);
    await expectNotOpened(testOptions(), "CONFLICT", { holderPid: process.pid });
  });

  it("is not believed by root's commands where no agent is", async () => {
    const { options, tap } = await abandonedGuest();
    const { says } = await trap();
    await squat(NAME, kind, says);
    const lost = await forknetJson(["release", "vm-1"]);
    expect(lost.value.error.code).toBe("ERR_FORKNET_NOT_FOUND");
    expect(linkNamed(tap)).toBeDefined();
    const status = await forknetJson(["status", "--interval", "0"]);
    expect(status).toMatchObject({
      code: 0,
      value: { source: "kernel", holder: null, guests: [{ instanceId: "vm-1" }] },
    });
    if (kind === "answers") expect(status.value.notes.at(-1)).toMatch(WARNING);
    const { code, stderr, stdout } = await forknet(["release", "vm-1", "-d", options.stateDir]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "vm-1 released\n" });
    if (kind === "answers") expect(stderr).toMatch(WARNING);
    expect(linkNamed(tap)).toBeUndefined();
  });
});

/** The pid of who listens at the name. To try and take it would keep it from the agent. */
function listener(): number {
  try {
    const { fd, pid } = addon.connectAbstract(NAME);
    addon.closeFd(fd);
    return pid;
  } catch {
    return 0;
  }
}

it("an agent that has the name beside a squatter of another bridge is found", async () => {
  await squat("forknet/vmbr1", "answers");
  await openForTest();
  const { value } = await forknetJson(["status", "--interval", "0"]);
  expect(value).toMatchObject({ source: "agent", notes: [] });
});

it("who serves the control socket of another user's agent is not believed", async () => {
  const { tap } = await abandonedGuest();
  const { says } = await trap();
  // An agent of root's, as it was before it cared whose its directory is.
  const taken = addon.lockAbstract(NAME) as { fd: number };
  const server = createServer((visitor) => visitor.end(says)).listen({ fd: taken.fd });
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  expect(await forknetJson(["release", "vm-1"])).toMatchObject({
    code: 4,
    value: {
      error: {
        code: "ERR_FORKNET_PERMISSION",
        message: expect.stringMatching(/served by process \d+ of uid 65534/) as string,
      },
    },
  });
  expect(linkNamed(tap)).toBeDefined();
});

it("the doctor says who has the name, and how to end that", async () => {
  const look = async () => findingOf(await diagnose("vmbr0"), "state.name");
  expect(await look()).toMatchObject({ severity: "ok" });
  const squatter = await squat(NAME, "answers");
  const found = await look();
  expect(found).toMatchObject({
    severity: "warning",
    found: expect.stringContaining(`process ${squatter.pid} of uid ${NOBODY}`) as string,
    mend: [`kill ${squatter.pid}`],
  });
  mend(found);
  await expect.poll(async () => (await look()).severity).toBe("ok");
  await openForTest();
  expect((await look()).found).toContain(`process ${process.pid} of uid 0`);
});
