// What has to hold between a network and the kernel whenever nothing is under way. Returns what
// does not, in words.

import { isDeepStrictEqual } from "node:util";
import type { Allocation, Network } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import type { LinkInfo, Netlink } from "../../src/kernel/binding.js";
import { ipBytes, macBytes } from "./frames.js";
import { ipText } from "./kernel-state.js";
import { type LeaseEntry, readLeaseMap } from "./network-state.js";

/** In bits per second, as the guest should have them; null is unlimited. */
export interface ExpectedLimits {
  download: number | null;
  upload: { rate: number; ceil: number } | null;
}

const PERMANENT = 0x80;
const UNLIMITED = 100e9;
const BASE_LIMIT = 10e6;

/**
 * `limits` names guests whose limits are known; `spare` is how many unclaimed slots there may be.
 */
export function brokenInvariants(
  network: Network,
  limits: ReadonlyMap<string, ExpectedLimits> = new Map(),
  spare = 0,
): string[] {
  const addon = loadAddon();
  const netlink = new addon.Netlink();
  try {
    const guests = network.listAllocations();
    const active = guests.filter(({ state }) => state === "active");
    const leases = readLeaseMap(netlink);
    return [
      ...duplicates(guests),
      ...guests.flatMap((guest) => stateProblems(guest)),
      ...active.flatMap((guest) => tapProblems(netlink, guest, leases)),
      ...active.flatMap((guest) => limitProblems(netlink, guest, leases)),
      ...active.flatMap((guest) => wishProblems(guest, leases, limits.get(guest.instanceId))),
      ...strayProblems(netlink, active, leases, spare),
    ];
  } finally {
    netlink.close();
  }
}

/** Standby guests included: their names and addresses stay theirs. */
export function duplicates(guests: readonly Omit<Allocation, "shaped">[]): string[] {
  const keys = ["instanceId", "instanceName", "ip", "mac", "tap", "classId"] as const;
  return keys.flatMap((key) => {
    const values = guests.map((guest) => guest[key]).filter((value) => value !== "");
    return values
      .filter((value, i) => values.indexOf(value) !== i)
      .map((value) => `two guests have ${key} ${value}`);
  });
}

function stateProblems({
  instanceId,
  state,
  shaping,
  tap,
  classId,
  ifindex,
}: Allocation): string[] {
  if (state === "active")
    return shaping === "pending" ? [`${instanceId} still waits for its limits`] : [];
  const isEmpty = tap === "" && classId === "" && ifindex === 0 && shaping === "none";
  if (state === "standby")
    return isEmpty ? [] : [`${instanceId} is in standby with "${tap}" ${ifindex} ${shaping}`];
  return [`${instanceId} is ${state} though nothing is under way`];
}

function tapProblems(netlink: Netlink, guest: Allocation, leases: readonly LeaseEntry[]): string[] {
  const { instanceId, ifindex, tap } = guest;
  const link = netlink.link({ ifindex });
  if (!link) return [`${instanceId} has no TAP ${tap}`];
  const problems: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) problems.push(`${instanceId}: ${what}`);
  };
  const bridge = netlink.link({ ifindex: link.master });
  must(link.name === tap, `its TAP is called ${link.name}, not ${tap}`);
  must(bridge?.kind === "bridge", "its TAP is not on the bridge");
  must(link.up, "its TAP is down");
  must(
    link.port?.isolated === true && !link.port.learning && !link.port.unicastFlood,
    "its port is not isolated",
  );
  must(link.group === 0, `its TAP is in group ${link.group}`);
  must(link.alias.startsWith(`forknet1 ${instanceId} `), `its alias is "${link.alias}"`);
  const [lease] = leases.filter((entry) => entry.ifindex === ifindex);
  must(lease !== undefined, "it has no lease");
  if (lease) {
    must(
      `1:${lease.classMinor.toString(16)}` === guest.classId,
      `its lease names class ${lease.classMinor}`,
    );
    must(lease.value.subarray(16, 20).join(".") === guest.ip, "its lease has another address");
    must(text(lease.value.subarray(64, 128)) === instanceId, "its lease has another id");
    const inside = insideHex(guest.guest);
    must(lease.value.toString("hex", 256, 276) === inside.lease, "its lease is of another inside");
    must(link.alias.split(" guest=")[1] === inside.alias, `its alias is "${link.alias}"`);
    const { uid, gid } = guest.owner ?? {};
    const owner = [276, 280].map((at) => lease.value.readUInt32LE(at) - 1);
    must(isDeepStrictEqual(owner, [uid ?? -1, gid ?? -1]), `its lease has the owner ${owner}`);
    const ids = [link.tun?.owner, link.tun?.group];
    if (guest.owner) must(isDeepStrictEqual(ids, [uid, gid]), `its TAP belongs to ${ids}`);
    must(ids[0] !== undefined || ids[1] !== undefined, "its TAP opens for everybody");
    // Without its limits a guest of a network with `unshaped: "block"` has to be.
    must(
      guest.shaping !== "shaped" || (lease.value.readUInt32LE(4) & 1) === 0,
      "it is blocked though it is shaped",
    );
  }
  return problems;
}

/** The identity in its memory, as the lease and the alias have it. */
function insideHex(inside: Allocation["guest"]): { lease: string; alias?: string } {
  if (!inside) return { lease: "0".repeat(40) };
  const [ip, gateway] = [inside.ip, inside.gateway].map((one) => ipBytes(one).toString("hex"));
  const macs = [inside.mac, inside.gatewayMac].map((one) => macBytes(one).toString("hex"));
  const [mac, gatewayMac] = macs;
  const alias = [ip, mac, gateway, gatewayMac].join("/");
  return { lease: [ip, gateway, mac, gatewayMac].join(""), alias };
}

/** What the lease says is what TBF and HTB enforce. */
function limitProblems(
  netlink: Netlink,
  guest: Allocation,
  leases: readonly LeaseEntry[],
): string[] {
  const lease = leases.find(({ ifindex }) => ifindex === guest.ifindex);
  if (guest.shaping !== "shaped" || !lease) return [];
  const shaper = netlink.links({ kind: "ifb" })[0];
  const found =
    shaper &&
    netlink.classes(shaper.ifindex).find(({ handle }) => (handle & 0xffff) === lease.classMinor);
  const tbf = netlink.qdiscs(guest.ifindex).find((qdisc) => qdisc.tbf)?.tbf;
  const { download, upload } = limitsIn(lease.value);
  const { rate, ceil } = upload ?? { rate: BASE_LIMIT, ceil: UNLIMITED };
  const expected = [download ?? UNLIMITED, rate, ceil].map((bits) => Math.floor(bits / 8));
  const actual = [tbf?.rate, found?.rate, found?.ceil];
  const problems: string[] = [];
  if (!found?.leaf) problems.push(`${guest.instanceId}: its class has no leaf`);
  if (expected.every((value, i) => value === actual[i])) return problems;
  return [
    ...problems,
    `${guest.instanceId}: ${actual.join(", ")} bytes/s are in force, not ${expected.join(", ")}`,
  ];
}

/** The limits in a lease. 0 is unlimited. */
export function limitsIn(lease: Buffer): ExpectedLimits {
  const [download, rate, ceil] = [32, 40, 48].map((at) => Number(lease.readBigUInt64LE(at))) as [
    number,
    number,
    number,
  ];
  return { download: download || null, upload: rate ? { rate, ceil } : null };
}

function wishProblems(
  guest: Allocation,
  leases: readonly LeaseEntry[],
  wished: ExpectedLimits | undefined,
): string[] {
  const lease = leases.find(({ ifindex }) => ifindex === guest.ifindex);
  if (!wished || !lease || isDeepStrictEqual(limitsIn(lease.value), wished)) return [];
  return [
    `${guest.instanceId} has ${JSON.stringify(limitsIn(lease.value))}, not ${JSON.stringify(wished)}`,
  ];
}

/** TAPs, leases and neighbours that nobody owns. */
function strayProblems(
  netlink: Netlink,
  active: readonly Allocation[],
  leases: readonly LeaseEntry[],
  spare: number,
): string[] {
  const owned = new Set(active.map(({ ifindex }) => ifindex));
  const others = netlink.links({ kind: "tun" }).filter(({ ifindex }) => !owned.has(ifindex));
  const isSlot = ({ alias, group }: LinkInfo) => alias.startsWith("forknet1 /slot ") && group === 0;
  const strays = others
    .filter((link) => !isSlot(link))
    .map(({ name, alias }) => `nobody owns ${name} "${alias}"`);
  const slots = others.filter(isSlot);
  if (slots.length > spare) strays.push(`${slots.length} unclaimed slots, not ${spare}`);
  const addresses = new Set([
    ...active.map(({ ip }) => ip),
    ...slots.map(({ alias }) => alias.split(" ")[2]),
  ]);
  for (const { ifindex } of leases)
    if (!owned.has(ifindex)) strays.push(`a lease for ${ifindex}, which nobody owns`);
  for (const { ip, state } of netlink.neighbors()) {
    if (state === PERMANENT && !addresses.delete(ipText(ip)))
      strays.push(`a neighbour entry for ${ipText(ip)}`);
  }
  for (const ip of addresses) strays.push(`no neighbour entry for ${ip}`);
  return strays;
}

function text(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/\0+$/, "");
}
