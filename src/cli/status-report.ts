// How a network's state looks: a few lines about the network, a table of its guests.

import { formatBandwidth } from "../bandwidth.js";
import type { GuestStatus, NetworkStatus } from "../control/status.js";
import { formatOwner } from "../identity/tap-owner.js";
import { USUAL_MTU } from "../limits.js";
import { formatBytes, formatDownload, formatRate, formatUpload } from "./quantity.js";
import { paint } from "./style.js";
import { formatTable } from "./table.js";
import type { Throughput } from "./throughput.js";

const STATE_COLOURS = {
  pending: "yellow",
  active: "green",
  standby: "dim",
  releasing: "yellow",
} as const;
const SHAPING_COLOURS = { none: "dim", pending: "yellow", shaped: "green", failed: "red" } as const;

/** The lines above the table. */
export function formatNetwork(status: NetworkStatus): string {
  const { bridge, subnet, gateway, shaper, isolated, mtu, holder } = status;
  const { pool, lanes, drops, notes } = status;
  const pid = holder ? (holder.pid ? `pid ${holder.pid}` : "a process that does not say who") : "";
  const agent = !holder
    ? paint("yellow", "none")
    : status.source === "agent"
      ? `${pid}, forknet ${holder.version}`
      : paint("yellow", `${pid}, not asked`);
  const size = pool.size === null ? "" : ` of ${pool.size}, ${pool.making} in the making`;
  const dropped = Object.entries(drops ?? {}).filter(([, count]) => count > 0);
  const unusual = mtu === null || mtu === USUAL_MTU ? "" : `, MTU ${mtu}`;
  const rows = [
    [
      "network",
      `${paint("bold", bridge)}  ${subnet}, gateway ${gateway}, ${isolated ? "isolated" : "not isolated"}${unusual}`,
    ],
    ["agent", agent],
    ["upload", `${formatBandwidth(status.uploadCapacity)} shared on ${shaper || "nothing"}`],
    ["pool", `${pool.ready} warm${size}`],
    ["lanes", lanes ? `create ${lanes.create}, shape ${lanes.shape}, reap ${lanes.reap}` : "-"],
    ["dropped", drops ? dropped.map(([reason, n]) => `${reason} ${n}`).join(", ") || "none" : "-"],
    ...notes.map((note) => ["note", paint("yellow", note)]),
  ];
  return rows.map(([name, text]) => `${(name as string).padEnd(8)} ${text}`).join("\n");
}

const HEAD = [
  "instance",
  "name",
  "ip",
  "tap",
  "state",
  "shaping",
  "down limit",
  "down now",
  "up limit",
  "up now",
  "drops",
];

export function formatGuests(
  guests: readonly GuestStatus[],
  throughput: ReadonlyMap<string, Throughput>,
): string {
  if (guests.length === 0) return "no guests";
  return formatTable(
    HEAD,
    guests.map((guest) => {
      const { instanceId, instanceName, ip, tap, state, shaping, limits, traffic } = guest;
      const now = throughput.get(instanceId);
      return [
        instanceId,
        instanceName,
        ip,
        tap || "-",
        paint(STATE_COLOURS[state], state),
        paint(SHAPING_COLOURS[shaping], shaping),
        formatDownload(limits),
        rateOrDash(now?.download),
        formatUpload(limits),
        rateOrDash(now?.upload),
        traffic ? String(traffic.download.drops + traffic.upload.drops) : "-",
      ];
    }),
  );
}

/** One guest, a line a fact. */
export function formatGuest(guest: GuestStatus, now: Throughput | undefined): string {
  const { traffic, limits, guest: inside, owner } = guest;
  const rows: [string, string][] = [
    ["instance", `${paint("bold", guest.instanceId)} (${guest.instanceName})`],
    ["state", `${guest.state}, ${guest.shaping === "none" ? "no limits in place" : guest.shaping}`],
    ["address", `${guest.ip} ${guest.mac}`],
    ...insideRow(inside),
    ["tap", guest.tap ? `${guest.tap} (ifindex ${guest.ifindex}), class ${guest.classId}` : "-"],
    ...(owner ? [["owner", formatOwner(owner)] as [string, string]] : []),
    ["created", new Date(guest.createdMs).toISOString()],
    ["download", `limit ${formatDownload(limits)}, now ${rateOrDash(now?.download)}`],
    ["upload", `limit ${formatUpload(limits)}, now ${rateOrDash(now?.upload)}`],
  ];
  for (const direction of ["download", "upload"] as const) {
    if (!traffic) continue;
    const { bytes, packets, drops, overlimits, backlogBytes } = traffic[direction];
    rows.push([
      direction,
      `${formatBytes(bytes)} in ${packets} packets, ${drops} dropped, ${overlimits} held back, ${formatBytes(backlogBytes)} waiting`,
    ]);
  }
  return rows.map(([name, text]) => `${name.padEnd(9)} ${text}`).join("\n");
}

function insideRow(inside: GuestStatus["guest"]): [string, string][] {
  if (!inside) return [];
  const { ip, mac, gateway, gatewayMac } = inside;
  return [["inside", `${ip} ${mac}, gateway ${gateway} ${gatewayMac}`]];
}

function rateOrDash(rate: number | null | undefined): string {
  return typeof rate === "number" ? formatRate(rate) : "-";
}
