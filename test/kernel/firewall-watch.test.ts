// Rules that somebody takes away are told, and put back without being asked, by traffic: what they drop
// passes for a moment only. Nothing of it after our own changes, nor with the option off.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { published } from "../support/events.js";
import { firewall, HOST_IP, readRules, setForwarding } from "../support/internet.js";
import { DROPPED, hostPort, openPlace, probe, probeDropped } from "../support/nat-place.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";

const FLUSH = "nft flush ruleset";
const TABLE = "table ip forknet-vmbr0";
/** Told and repaired within a second or two, on a machine that is not busy with something else. */
const SOON = { timeout: patiently(5000), interval: 50 };
const GONE = { bridge: BRIDGE, subject: BRIDGE, what: "nat", found: "nothing" };
const BY_NFT = { by: { name: "nft", pid: expect.any(Number) as number } };

const withNat = (nat: NetworkOptions["nat"] = {}, rest: Partial<NetworkOptions> = {}) =>
  testOptions({ nat: nat as object, ...rest });

/** The rules that forknet made. */
const ownRules = () => readRules().filter((line) => line.includes(BRIDGE));

function listen() {
  return {
    drift: published("forknet:drift"),
    repaired: published("forknet:repaired"),
    failed: published("forknet:repair-failed"),
    contested: published("forknet:firewall-contested"),
  };
}

beforeEach(() => setForwarding(true));

describe("rules that somebody flushes", () => {
  it("are told with who it was, and are back: a guest reaches the host no more", async () => {
    const { guest, network } = await openPlace({});
    const port = await hostPort();
    const rules = ownRules();
    const heard = listen();
    expect(await probeDropped(guest, HOST_IP, port)).toBe(DROPPED);
    firewall(FLUSH);
    await expect.poll(() => heard.repaired.length, SOON).toBe(1);
    expect(heard.drift).toMatchObject([{ ...GONE, ...BY_NFT }]);
    expect(heard.repaired).toMatchObject([GONE]);
    expect(ownRules()).toEqual(rules);
    expect(await probeDropped(guest, HOST_IP, port)).toBe(DROPPED);
    expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
    expect(heard.contested).toEqual([]);
  });

  it("are back by themselves, as is an accept rule in iptables' chain", async () => {
    firewall("iptables-nft -P FORWARD DROP");
    onTestFinished(() => firewall("nft delete table ip filter"));
    await openForTest(withNat());
    const rules = ownRules();
    const heard = listen();
    firewall("iptables-nft -F FORWARD");
    await expect.poll(ownRules, SOON).toEqual(rules);
    await expect.poll(() => heard.repaired.map(({ what }) => what), SOON).toEqual(["nat-accept"]);
    expect(heard.drift).toMatchObject([
      { what: "nat-accept", by: { name: expect.stringMatching(/^iptables/) as string } },
    ]);
  });

  it("of iptables-legacy, which tells nobody, are looked for", async () => {
    firewall("iptables-legacy -P FORWARD DROP");
    onTestFinished(() => firewall("iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT"));
    await openForTest(withNat());
    const rules = ownRules();
    const heard = listen();
    firewall("iptables-legacy -F FORWARD");
    await expect.poll(ownRules, { timeout: patiently(15_000) }).toEqual(rules);
    await expect.poll(() => heard.repaired.length, SOON).toBe(1);
    expect(heard.drift).toMatchObject([{ what: "nat-accept" }]);
    expect(heard.drift[0]?.by).toBeUndefined();
  });

  it("are told and stay away where the option says so, until reconcile is asked", async () => {
    const { guest, network } = await openPlace({ repair: false });
    const port = await hostPort();
    const heard = listen();
    firewall(FLUSH);
    await expect.poll(() => heard.drift, SOON).toMatchObject([{ ...GONE, ...BY_NFT }]);
    expect(await probe(guest, HOST_IP, port)).toBe("connected");
    firewall(`nft add ${TABLE} '{ comment "forknet1:nat:vmbr0" ; }'`);
    const changed = { ...GONE, ...BY_NFT, found: "changed" };
    await expect.poll(() => heard.drift, SOON).toMatchObject([GONE, changed]);
    expect(heard.repaired).toEqual([]);
    await network.reconcile();
    expect(await probeDropped(guest, HOST_IP, port)).toBe(DROPPED);
  });

  it("again and again are put back every time, and whoever goes on is named", async () => {
    const network = await openForTest(withNat());
    const rules = ownRules();
    const heard = listen();
    for (let flushes = 1; flushes <= 12; flushes++) {
      firewall(FLUSH);
      await expect.poll(() => heard.repaired.length, SOON).toBe(flushes);
    }
    expect(ownRules()).toEqual(rules);
    expect(heard.contested).toMatchObject([{ bridge: BRIDGE, repairs: 10, ...BY_NFT }]);
    const { differences, warnings } = await network.verify();
    expect(differences).toEqual([]);
    expect(warnings).toMatchObject([
      { subject: BRIDGE, what: "firewall", text: expect.stringContaining("nft") as string },
    ]);
    expect(heard.failed).toEqual([]);
  });

  it("whose name somebody else takes are not put in the place of his", async () => {
    await openForTest(withNat());
    const heard = listen();
    onTestFinished(() => firewall(`nft delete ${TABLE}`));
    firewall(`printf 'delete ${TABLE}\\nadd ${TABLE}\\n' | nft -f -`);
    await expect.poll(() => heard.failed.length, SOON).toBe(1);
    expect(heard.failed[0]?.error).toMatchObject({ code: "ERR_FORKNET_CONFLICT" });
    expect(heard.drift).toHaveLength(1);
    expect(ownRules()).toEqual([`${TABLE} {`]);
  });
});

it("what the network does itself is no news, nor what others do elsewhere", async () => {
  firewall("iptables-nft -P FORWARD DROP");
  onTestFinished(() => firewall("nft delete table ip filter"));
  const heard = listen();
  const first = await openForTest(withNat());
  const second = await openForTest(withNat({}, { bridge: "vmbr1", subnet: "10.101.0.0/16" }));
  firewall("nft add table ip other; nft add chain ip other none; nft delete table ip other");
  firewall("iptables-nft -A INPUT -s 192.0.2.1 -j DROP");
  await first.reconcile();
  await second.destroy();
  expect(await first.verify()).toMatchObject({ differences: [] });
  // Control: what is told next is heard after all of that.
  firewall(`nft delete ${TABLE}`);
  await expect.poll(() => heard.repaired.length, SOON).toBe(1);
  expect(heard).toMatchObject({ drift: [GONE], repaired: [GONE], failed: [], contested: [] });
});

it("two networks put back theirs, and leave each other in peace", async () => {
  firewall("iptables-nft -P FORWARD DROP");
  onTestFinished(() => firewall("nft delete table ip filter"));
  const first = await openForTest(withNat());
  const second = await openForTest(withNat({}, { bridge: "vmbr1", subnet: "10.101.0.0/16" }));
  const heard = listen();
  const differences = async () =>
    (await Promise.all([first, second].map((one) => one.verify()))).flatMap(
      (report) => report.differences,
    );
  for (let flushes = 1; flushes <= 3; flushes++) {
    firewall(`${FLUSH}; iptables-nft -P FORWARD DROP`);
    const told = () => new Set(heard.repaired.map(({ bridge }) => bridge));
    await expect.poll(() => [...told()].sort(), SOON).toEqual(["vmbr0", "vmbr1"]);
    await expect.poll(differences, SOON).toEqual([]);
    heard.repaired.length = 0;
  }
  expect(heard.contested).toEqual([]);
  expect(heard.failed).toEqual([]);
});

it.each(["close", "destroy"] as const)("nothing is put back after %s", async (ending) => {
  const network = await openForTest(withNat());
  await openForTest(withNat({}, { bridge: "other0", subnet: "10.101.0.0/16" }));
  const heard = listen();
  firewall(FLUSH);
  await network[ending]();
  if (ending === "destroy") expect(ownRules()).toEqual([]);
  heard.repaired.length = 0;
  firewall(FLUSH);
  // Control: a network that is open puts back its rules.
  await expect.poll(() => heard.repaired.length, SOON).toBe(1);
  expect(heard.repaired).toMatchObject([{ bridge: "other0" }]);
  expect(ownRules()).toEqual([]);
  expect(heard.failed).toEqual([]);
});

/** An nft that deletes the table just before it is first listed after it was made. */
function deleteBeforeListing(): void {
  const directory = mkdtempSync(join(tmpdir(), "forknet-nft-"));
  const path = process.env.PATH;
  const file = join(directory, "nft");
  writeFileSync(
    file,
    `#!/bin/sh
PATH=/usr/sbin:/sbin:$PATH
case "$*" in
  "-f -") touch ${directory}/made ;;
  "-s list table"*) if rm ${directory}/made 2>/dev/null; then /usr/sbin/nft delete ${TABLE}; fi ;;
esac
exec /usr/sbin/nft "$@"
`,
  );
  chmodSync(file, 0o755);
  process.env.PATH = `${directory}:${path}`;
  onTestFinished(() => {
    process.env.PATH = path;
    rmSync(directory, { recursive: true });
  });
}

it("a table that is flushed before anybody has seen it made is never taken for right", async () => {
  deleteBeforeListing();
  const network = await openForTest(withNat({ repair: false }));
  const { differences } = await network.verify();
  expect(differences).toMatchObject([{ what: "nat", found: "nothing" }]);
});
