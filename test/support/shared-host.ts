// A host whose only way to the world is a bridge of its own with an uplink port: the neighbour behind
// that is the host's router. Whether both reach each other all the time, and what the host is set to.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished } from "vitest";
import { type Guest, startGuest } from "../../dist/stand-in/guest.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { sh } from "./diagnosis.js";
import { deleteLink, linkNamed } from "./kernel-view.js";
import { BRIDGE } from "./network.js";
import { patiently } from "./patience.js";

export const UPLINK = "up0";
/** Higher than most that the kernel draws for TAPs. */
export const UPLINK_MAC = "fa:ff:00:00:00:01";
export const HOST = { ip: "10.100.0.1", ipv6: "fd00::1" };
export const ROUTER = { ip: "10.100.0.254", ipv6: "fd00::fe" };
const FEWEST_ROUNDS = 5;
const ROUNDS_MS = 10_000;
const PAUSE_MS = 50;

export interface SharedHost {
  /** Of the router. */
  router: Guest;
  /** Everything that the host's own network is set to, as lines. */
  state(): string[];
}

/**
 * Makes bridge, uplink, addresses and router; gone when the test has finished. `mac`: the bridge has it
 * explicitly; without one it has its uplink's.
 */
export async function makeSharedHost({ mac }: { mac?: string } = {}): Promise<SharedHost> {
  const addon = loadAddon();
  const { fd } = addon.openTap({ name: UPLINK, vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  sh(`
    ip link add ${BRIDGE} ${mac ? `address ${mac}` : ""} type bridge mcast_snooping 0
    ip link set ${UPLINK} address ${UPLINK_MAC} addrgenmode none master ${BRIDGE} up
    ip link set ${BRIDGE} up
    ip address add ${HOST.ip}/16 dev ${BRIDGE}
    ip address add ${HOST.ipv6}/64 dev ${BRIDGE} nodad
    ip route add default via ${ROUTER.ip}`);
  onTestFinished(() => {
    for (const name of [BRIDGE, UPLINK]) if (linkNamed(name)) deleteLink(name);
  });
  const router = await startGuest({
    tap: UPLINK,
    mac: "02:00:00:00:00:fe",
    ip: ROUTER.ip,
    prefixLength: 16,
  });
  onTestFinished(() => router.stop());
  inside(router, "ip", "address", "add", `${ROUTER.ipv6}/64`, "dev", "eth0", "nodad");
  // The kernel is done with the link-local address that it makes by itself.
  const isTentative = () => hostState().some((line) => line.includes(" tentative "));
  await expect.poll(isTentative, { timeout: patiently(ROUNDS_MS) }).toBe(false);
  return { router, state: hostState };
}

function inside({ pid }: Guest, ...command: string[]): void {
  execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, ...command]);
}

/** Sysctls of the bridge, what the bridge and its uplink are like, addresses and routes. */
function hostState(): string[] {
  const trees = ["ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"];
  const settings = trees.flatMap((tree) => {
    const path = `/proc/sys/net/${tree}/${BRIDGE}`;
    // What the kernel draws anew now and then.
    const keys = readdirSync(path).filter((key) => key !== "stable_secret");
    return keys.map((key) => `${tree} ${key} ${readFileSync(`${path}/${key}`, "utf8").trim()}`);
  });
  const bridge = linkNamed(BRIDGE);
  const uplink = linkNamed(UPLINK);
  const shown = [
    `ip -o address show dev ${BRIDGE}`,
    `ip route show`,
    `ip -6 route show`,
    `bridge -d link show dev ${UPLINK}`,
  ].flatMap((command) => execFileSync("sh", ["-c", command]).toString().trim().split("\n"));
  return [...settings, JSON.stringify(bridge), JSON.stringify(uplink), ...shown];
}

/**
 * Runs something while host and router ping each other over IPv4 and IPv6, and expects that every ping
 * is answered. At the end the host has forgotten what it learned, and has to ask again.
 */
export async function reachableThroughout<T>(
  { router }: SharedHost,
  run: () => Promise<T>,
): Promise<T> {
  const enter = ["nsenter", `--net=/proc/${router.pid}/ns/net`];
  const pings = [
    new Pings([...enter, "ping", HOST.ip]),
    new Pings([...enter, "ping", "-6", HOST.ipv6]),
    new Pings(["ping", ROUTER.ip]),
    new Pings(["ping", "-6", ROUTER.ipv6]),
  ];
  try {
    await Promise.all(pings.map((one) => one.rounds(FEWEST_ROUNDS)));
    const result = await run();
    sh(`ip neigh flush dev ${BRIDGE} nud reachable nud stale nud delay nud probe || true`);
    await Promise.all(pings.map((one) => one.rounds(FEWEST_ROUNDS)));
    return result;
  } finally {
    const lost = await Promise.all(pings.map((one) => one.end()));
    expect(lost).toEqual(pings.map(() => []));
  }
}

/** One ping after the other, each with a number. */
class Pings {
  readonly #child: ChildProcess;
  readonly #command: string;
  #said = "";

  constructor(command: readonly string[]) {
    this.#command = command.join(" ");
    const [file = "", ...args] = command;
    this.#child = spawn(file, [...args, "-n", "-i", "0.1"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  get #answered(): number {
    return this.#said.match(/bytes from/g)?.length ?? 0;
  }

  /** Resolves after so many more answers; throws when they stay away. */
  async rounds(count: number): Promise<void> {
    const until = this.#answered + count;
    const deadline = performance.now() + patiently(ROUNDS_MS);
    while (this.#answered < until) {
      if (performance.now() > deadline) throw new Error(`${this.#command}: no answer`);
      await sleep(PAUSE_MS);
    }
  }

  /** Numbers that were not answered, but for the last, which may be on its way. */
  async end(): Promise<string[]> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGINT");
    await exited;
    const numbers = [...this.#said.matchAll(/bytes from .*icmp_seq=(\d+)/g)].map(([, n]) =>
      Number(n),
    );
    const last = Math.max(0, ...numbers);
    const missing = Array.from({ length: last }, (_, i) => i + 1).filter(
      (n) => !numbers.includes(n),
    );
    return missing.map((n) => `${this.#command}: ${n} of ${last}`);
  }
}
