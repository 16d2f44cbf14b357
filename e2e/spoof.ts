// Spoofing from inside a guest: what was sent, what the guard counted, and what arrived at the host and
// at the other guests, where a watch counts the frames with the attempt's mark.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { formatMac } from "../src/identity/ipv4.js";
import { linkNamed } from "../test/support/kernel-view.js";
import { INTERNET_IP } from "../test/support/uplink.js";
import type { Attempt } from "./check.js";
import { type Cast, type Forgery, forgeries } from "./forgeries.js";
import { BRIDGE, IMAGE, type Place, type RealGuest } from "./place.js";

const FRAMES = 50;
const MARK = "FORKNET-E2E";
const FREE = { mac: "02:00:0a:64:fe:fe", ip: "10.100.254.254" };

export async function checkSpoofing(
  place: Place,
  attacker: RealGuest,
  peers: readonly [RealGuest, ...RealGuest[]],
): Promise<Attempt[]> {
  // IPv6 of the guests themselves would be counted with the attempts'.
  const quiet = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
  await Promise.all([attacker, ...peers].map(({ vm }) => vm.run(quiet)));
  const cast: Cast = {
    attacker: attacker.allocation,
    victim: peers[0].allocation,
    gateway: { mac: bridgeMac(), ip: attacker.allocation.gateway },
    free: FREE,
    beyondIp: INTERNET_IP,
  };
  const attempts: Attempt[] = [];
  for (const forgery of forgeries(cast, MARK))
    attempts.push(await tryOut(place, attacker, peers, forgery));
  return attempts;
}

async function tryOut(
  { network }: Place,
  attacker: RealGuest,
  peers: readonly RealGuest[],
  { what, reason, mayReachHost = false, frame }: Forgery,
): Promise<Attempt> {
  const host = await watchHost();
  await Promise.all(peers.map(startWatch));
  const before = network.drops();
  const sent = Number(
    await attacker.vm.run(`traffic frames eth0 ${frame.toString("hex")} ${FRAMES}`),
  );
  // A ping comes back behind whatever was sent before it: no need to wait for nothing to come.
  for (const guest of [attacker, ...peers])
    await guest.vm.run(`ping -c 1 -W 5 ${guest.allocation.gateway}`);
  const after = network.drops();
  const atHost = await endHostWatch(host);
  const atPeers = (await Promise.all(peers.map(endWatch))).reduce((sum, n) => sum + n, 0);

  const grown = Object.entries(after)
    .map(([name, count]) => ({ name, by: count - before[name as keyof typeof before] }))
    .filter(({ by }) => by > 0);
  const dropped = grown.reduce((sum, { by }) => sum + by, 0);
  const reasons = grown.map(({ name }) => name).join(", ");
  const expected = reason === "" ? 0 : sent;
  const holds =
    sent === FRAMES &&
    dropped === expected &&
    reasons === reason &&
    atPeers === 0 &&
    atHost === (mayReachHost ? sent : 0);
  return { what, sent, dropped, reason: reasons, mayReachHost, atHost, atPeers, holds };
}

async function startWatch({ vm }: RealGuest): Promise<void> {
  await vm.run(`traffic watch-all eth0 ${MARK} >/tmp/watch & watcher=$!`);
  await vm.run("until grep -q ready /tmp/watch; do sleep 0.05; done");
}

async function endWatch({ vm }: RealGuest): Promise<number> {
  return Number(await vm.run("kill $watcher; wait $watcher; tail -n 1 /tmp/watch"));
}

async function watchHost(): Promise<ChildProcess> {
  const args = ["watch", BRIDGE, MARK];
  const child = spawn(join(IMAGE, "traffic"), args, { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout) await once(child.stdout, "readable");
  return child;
}

async function endHostWatch(child: ChildProcess): Promise<number> {
  child.kill("SIGTERM");
  const lines = child.stdout ? await text(child.stdout) : "";
  return Number(lines.trim().split("\n").at(-1));
}

function bridgeMac(): string {
  const link = linkNamed(BRIDGE);
  if (!link) throw new Error(`There is no link named ${BRIDGE}`);
  return formatMac(link.mac);
}
