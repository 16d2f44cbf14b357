// The state directory against those who are not trusted: with real users, links and pipes.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { diagnose } from "../../dist/doctor/doctor.js";
import { type NetworkOptions, openNetwork } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { findingOf, mend } from "../support/diagnosis.js";
import { linkNamed } from "../support/kernel-view.js";
import { expectNotOpened, openForTest, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";
import { filesIn } from "../support/standby-leases.js";
import { asUnit } from "../support/unit-file.js";

const NOBODY = 65_534;
const SECOND = { instanceId: "vm-2", instanceName: "beta" };

/** A directory of root's, below which everything goes when the test has finished. */
function makePlace(): string {
  const place = mkdtempSync(join(tmpdir(), "forknet-place-"));
  chmodSync(place, 0o755);
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  return place;
}

function makeDirectory(path: string, mode: number, uid = 0): string {
  mkdirSync(path);
  chmodSync(path, mode);
  chownSync(path, uid, uid);
  return path;
}

/** The names that forknet writes, and those of its own that it passes through. */
const NAMES = ["lock", "standby.leases", "groups", "nat", "options.json", "control.sock"];

/** Somebody's files outside, and links to them under every name in the directory. */
function plantLinks(stateDir: string, victims: string, link = symlinkSync): () => void {
  const names = NAMES.flatMap((name) => [name, `${name}.new`]);
  for (const name of names) {
    writeFileSync(join(victims, name), `precious ${name}`, { mode: 0o640 });
    link(join(victims, name), join(stateDir, name));
  }
  const before = filesIn(victims);
  return () => {
    expect(filesIn(victims)).toEqual(before);
    for (const name of names) {
      const { mode, uid } = statSync(join(victims, name));
      expect([name, mode & 0o777, uid]).toEqual([name, 0o640, 0]);
    }
  };
}

describe("a state directory is refused", () => {
  const refused: [string, (place: string) => string][] = [
    ["that belongs to nobody", (place) => makeDirectory(join(place, "a"), 0o700, NOBODY)],
    ["that others can write", (place) => makeDirectory(join(place, "a"), 0o707)],
    ["that its group can write", (place) => makeDirectory(join(place, "a"), 0o770)],
    ["that others can write, sticky", (place) => makeDirectory(join(place, "a"), 0o1777)],
    ["below one that belongs to nobody", (place) => below(place, 0o755, NOBODY)],
    ["below one that others can write", (place) => below(place, 0o757)],
    [
      "behind nobody's link in a place for everybody",
      (place) => {
        chmodSync(place, 0o1777);
        const path = join(place, "link");
        symlinkSync(makeDirectory(join(place, "a"), 0o700), path);
        execFileSync("chown", ["-h", String(NOBODY), path]);
        return path;
      },
    ],
    [
      "that does not exist yet, where others could make it",
      (place) => join(makeDirectory(join(place, "a"), 0o777), "new"),
    ],
  ];
  it.each(refused)("%s, and opens when the command was run that mends it", async (_, make) => {
    const place = makePlace();
    const options = testOptions({ stateDir: make(place) });
    const isThere = existsSync(options.stateDir as string);
    let message = "";
    await expectNotOpened(options, "PERMISSION", {
      message: expect.stringMatching(/is not safe: .*: ch(own|mod) /) as string,
    });
    await openNetwork(options).catch((error: Error) => ({ message } = error));
    expect(existsSync(options.stateDir as string)).toBe(isThere);
    if (isThere) expect(readdirSync(options.stateDir as string)).toEqual([]);
    execFileSync("sh", ["-c", message.slice(message.lastIndexOf(": ") + 2)]);
    await openForTest(options);
  });

  const accepted: [string, (place: string) => string][] = [
    ["behind root's link", (place) => linked(place)],
    ["in a sticky place of root's", (place) => below(place, 0o1777)],
    ["that others can read", (place) => makeDirectory(join(place, "a"), 0o755)],
    ["that does not exist yet", (place) => join(place, "a", "b", "c")],
  ];
  it.each(accepted)("but not one %s", async (_, make) => {
    const options = testOptions({ stateDir: make(makePlace()) });
    await openForTest(options);
    expect(statSync(options.stateDir as string).isDirectory()).toBe(true);
  });
});

function below(place: string, mode: number, uid = 0): string {
  return makeDirectory(join(makeDirectory(join(place, "a"), mode, uid), "state"), 0o700);
}

function linked(place: string): string {
  makeDirectory(join(place, "a"), 0o700);
  symlinkSync("../place/./a", join(place, "link"));
  symlinkSync(place, join(place, "place"));
  symlinkSync("place/a", join(place, "other"));
  return join(place, "other");
}

it("the doctor says who could change it, and what mends it", async () => {
  const place = makePlace();
  const stateDir = makeDirectory(join(place, "a"), 0o707);
  const look = async () => findingOf(await diagnose("vmbr0", { stateDir }), "state.directory");
  const found = await look();
  expect(found).toMatchObject({
    severity: "problem",
    found: `${stateDir} can be written by others`,
  });
  mend(found);
  expect(await look()).toMatchObject({ severity: "ok", mend: [] });
  chownSync(stateDir, NOBODY, NOBODY);
  expect((await look()).found).toContain(`belongs to uid ${NOBODY}`);
  chownSync(place, NOBODY, NOBODY);
  chownSync(stateDir, 0, 0);
  expect(await look()).toMatchObject({ severity: "problem" });
});

describe("links in the directory", () => {
  it("of nobody's lead an agent nowhere", async () => {
    const place = makePlace();
    const stateDir = makeDirectory(join(place, "state"), 0o700, NOBODY);
    const isUntouched = plantLinks(stateDir, makeDirectory(join(place, "victims"), 0o700));
    // Behind it, nothing would be written.
    rmSync(join(stateDir, "lock"));
    const options = testOptions({ stateDir, nat: { enableForwarding: true } });
    await openNetwork(options).then(
      (network) => network.destroy(),
      () => {},
    );
    isUntouched();
  });

  it("of its own are replaced, and what they led to stays", async () => {
    const place = makePlace();
    const stateDir = makeDirectory(join(place, "state"), 0o700);
    const isUntouched = plantLinks(stateDir, makeDirectory(join(place, "victims"), 0o700));
    // A lock that is a link is nobody's lock.
    rmSync(join(stateDir, "lock"));
    const options = testOptions({ stateDir, nat: { enableForwarding: true } });
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    await network.setGroupLimits("tenant", { upload: "1mbit" });
    for (const name of ["standby.leases", "groups", "options.json"])
      expect(lstatSync(join(stateDir, name)).isFile()).toBe(true);
    expect(lstatSync(join(stateDir, "control.sock")).isSocket()).toBe(true);
    await network.destroy();
    isUntouched();
  });

  const kinds = [
    ["symbolic links", symlinkSync],
    ["second names", linkSync],
  ] as const;
  it.each(kinds)("of another user lead root's commands nowhere: %s", async (_, link) => {
    const { agent, stateDir, place } = await unitAgent();
    await agent.kill();
    const victims = makeDirectory(join(place, "victims"), 0o700);
    const kept = readFileSync(join(stateDir, "options.json"));
    rmSync(stateDir, { recursive: true });
    makeDirectory(stateDir, 0o700, NOBODY);
    const isUntouched = plantLinks(stateDir, victims, link);
    const commands = [["status", "--interval", "0"], ["verify"], ["release", "vm-1"]];
    for (const args of commands) await forknetJson([...args, "-d", stateDir]);
    isUntouched();
    // With options that can be read it goes as far as the lock, and without one all the way.
    rmSync(join(stateDir, "options.json"));
    writeFileSync(join(stateDir, "options.json"), kept);
    expect((await forknetJson(["release", "vm-1", "-d", stateDir])).code).not.toBe(0);
    isUntouched();
    rmSync(join(stateDir, "lock"));
    expect((await forknetJson(["release", "vm-1", "-d", stateDir])).code).toBe(0);
    isUntouched();
  });

  it("and pipes make root's commands wait for nobody", async () => {
    const { agent, stateDir } = await unitAgent();
    await agent.kill();
    for (const name of NAMES) {
      rmSync(join(stateDir, name), { force: true });
      execFileSync("mkfifo", [join(stateDir, name)]);
    }
    const status = await forknetJson(["status", "--interval", "0", "-d", stateDir]);
    expect(status).toMatchObject({ code: 0, value: { source: "kernel" } });
    expect(status.value.notes.join("\n")).toMatch(/standby\.leases: it is not a file/);
    expect((await forknetJson(["release", "vm-1", "-d", stateDir])).code).toBe(3);
  });
});

/** An agent as the unit runs it, of a user of its own, with its state behind root's link. */
async function unitAgent() {
  const place = makePlace();
  const stateDir = join(place, "lib/forknet/vmbr0");
  makeDirectory(join(place, "lib"), 0o755);
  // systemd has 0700 here, and another view for the unit.
  makeDirectory(join(place, "lib/private"), 0o711);
  makeDirectory(join(place, "lib/private/forknet"), 0o700, NOBODY);
  symlinkSync("private/forknet", join(place, "lib/forknet"));
  const options = testOptions({ stateDir, nat: { enableForwarding: true } });
  destroyedByCommand(options);
  const agent = new Agent(asUnit(place));
  await agent.open(options);
  await agent.fork(REQUEST);
  await agent.fork(SECOND);
  return { agent, stateDir, place, options };
}

/** Root's agent does not open such a directory; root's command does. */
function destroyedByCommand(options: NetworkOptions): void {
  onTestFinished(async () => {
    if (!linkNamed(options.bridge)) return;
    for (const name of NAMES) rmSync(join(options.stateDir as string, name), { force: true });
    await (await openWith(options, { trustsOwner: true })).destroy();
  });
}

it("root's commands work with the agent of another user, and leave it its files", async () => {
  const { agent, stateDir, options } = await unitAgent();
  const place = ["-d", stateDir];
  await agent.call("setGroupLimits", "tenant", { upload: "1mbit" });
  await agent.call("standbyAllocation", "vm-2");
  const status = await forknetJson(["status", "--interval", "0", ...place]);
  expect(status).toMatchObject({ code: 0, value: { source: "agent" } });
  expect((await forknetJson(["limits", "vm-1", "--upload", "1mbit", ...place])).code).toBe(0);
  await agent.kill();
  // Now the command opens the network itself, and writes every file anew.
  expect(await forknetJson(["status", "--interval", "0", ...place])).toMatchObject({
    value: { source: "kernel", guests: [{ instanceId: "vm-1" }, { instanceId: "vm-2" }] },
  });
  expect((await forknetJson(["limits", "vm-2", "--upload", "1mbit", ...place])).code).toBe(0);
  rmSync(join(stateDir, "lock"));
  expect((await forknetJson(["release", "vm-1", ...place])).code).toBe(0);
  const owners = readdirSync(stateDir).map((name) => [name, statSync(join(stateDir, name)).uid]);
  expect(owners.filter(([, uid]) => uid !== NOBODY)).toEqual([]);
  const next = new Agent(asUnit(join(stateDir, "../../..")));
  expect(await next.open(options)).toMatchObject([{ instanceId: "vm-2", state: "standby" }]);
  expect(await next.call("listGroups")).toMatchObject([{ name: "tenant" }]);
  await next.call("destroy");
});
