// What docs/qemu.md says, with a QEMU (its firmware is guest enough): command line, monitor commands, restore onto
// another TAP; as the TAP's owner, without any capability.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";

/** nobody: neither root nor anyone with a capability. */
const USER = 65_534;
const TIMEOUT_MS = patiently(30_000);
const MACHINE = "-machine q35,accel=tcg -m 16 -nodefaults -display none -qmp stdio".split(" ");
const ROOT_PORT = ["-device", "pcie-root-port,id=port0,chassis=1,slot=1"];

/** Set-up installs it; without it the tests are skipped, which CI counts as a failure. */
const hasQemu = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;
const qemuTest = test.skipIf(!hasQemu);

const folder = mkdtempSync(join(tmpdir(), "forknet-qemu-"));
// QEMU writes its state there as nobody.
chmodSync(folder, 0o777);
afterAll(() => rmSync(folder, { recursive: true }));

function openFor(multiQueue: boolean): Promise<Network> {
  return openForTest(testOptions({ pool: { size: 2 }, tap: { owner: USER, multiQueue } }));
}

function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id });
}

/** The two options of docs/qemu.md. */
function nic({ tap, mac }: Allocation, queues = 1): string[] {
  const [many, vectors] =
    queues > 1 ? [`,queues=${queues}`, `,mq=on,vectors=${2 * queues + 2}`] : ["", ""];
  return [
    "-netdev",
    `tap,id=net0,ifname=${tap},script=no,downscript=no${many}`,
    "-device",
    `virtio-net-pci,id=nic0,netdev=net0,mac=${mac}${vectors}`,
  ];
}

/** Runs QEMU and gives it the commands one after the other; each waits for what the one before brought. */
async function qemu(args: string[], commands: { send: object; until: RegExp }[]): Promise<string> {
  const child = spawn("qemu-system-x86_64", [...MACHINE, ...args], {
    uid: USER,
    gid: USER,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const ended = once(child, "close");
  let output = "";
  let seen = 0;
  const steps = [{ send: { execute: "qmp_capabilities" }, until: /"return"/ }, ...commands];
  const advance = (text: Buffer): void => {
    output += text.toString();
    const step = steps[0];
    const match = step?.until.exec(output.slice(seen));
    if (!step || !match) return;
    seen += match.index + match[0].length;
    steps.shift();
    child.stdin.write(`${JSON.stringify(steps[0]?.send ?? { execute: "quit" })}\n`);
  };
  child.stdout.on("data", advance);
  child.stderr.on("data", (text: Buffer) => {
    output += text.toString();
  });
  // A QEMU that ends at once closes its input under our hands.
  child.stdin.on("error", () => {});
  child.stdin.write(`${JSON.stringify(steps[0]?.send)}\n`);
  await ended;
  return output;
}

const network = { execute: "human-monitor-command", arguments: { "command-line": "info network" } };

qemuTest("QEMU opens the TAP as its owner, and takes another while it runs", async () => {
  const forks = await openFor(false);
  const [first, second] = [await fork(forks, "a"), await fork(forks, "b")];
  const tap = { type: "tap", id: "net1", ifname: second.tap, script: "no", downscript: "no" };
  const device = {
    driver: "virtio-net-pci",
    id: "nic1",
    bus: "port0",
    netdev: "net1",
    mac: second.mac,
  };
  const output = await qemu(
    [...nic(first), ...ROOT_PORT, "-S"],
    [
      { send: { execute: "netdev_add", arguments: tap }, until: /"return"/ },
      { send: { execute: "device_add", arguments: device }, until: /"return"/ },
      { send: network, until: /"return": "nic0.*"/ },
    ],
  );
  for (const { tap: name, mac } of [first, second]) {
    expect(output).toContain(`ifname=${name},`);
    expect(output).toContain(`macaddr=${mac}`);
  }
  expect(output).not.toContain('"error"');
});

qemuTest("several queues are asked for on both sides, or refused", async () => {
  const forks = await openFor(true);
  const vm = await fork(forks, "a");
  const output = await qemu(
    [...nic(vm, 2), "-S"],
    [{ send: network, until: /"return": "nic0.*"/ }],
  );
  expect(output.match(new RegExp(`ifname=${vm.tap},`, "g"))).toHaveLength(2);
  expect(await qemu(nic(vm), [])).toContain(
    `could not configure /dev/net/tun (${vm.tap}): Invalid argument`,
  );
});

qemuTest("a VM is saved, and restored onto the TAP that recreateAllocation gives", async () => {
  const forks = await openFor(false);
  const state = join(folder, "vm");
  const vm = await fork(forks, "a");
  const events = { capabilities: [{ capability: "events", state: true }] };
  const saved = await qemu(nic(vm), [
    { send: { execute: "migrate-set-capabilities", arguments: events }, until: /"return"/ },
    {
      send: { execute: "migrate", arguments: { uri: `exec:cat >${state}` } },
      until: /"MIGRATION", "data": \{"status": "completed"/,
    },
  ]);
  expect(saved).not.toContain('"error"');

  await forks.standbyAllocation("a");
  const restored = await forks.recreateAllocation("a");
  expect(restored.mac).toBe(vm.mac);
  const output = await qemu(
    [...nic(restored), "-incoming", "defer"],
    [
      {
        send: { execute: "migrate-incoming", arguments: { uri: `exec:cat ${state}` } },
        until: /"RESUME"/,
      },
      { send: network, until: /"return": "nic0.*"/ },
    ],
  );
  expect(output).toContain(`ifname=${restored.tap},`);
  expect(output).not.toContain("rror");
});
