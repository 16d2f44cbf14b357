// Forwarding of IPv4, link by link. The kernel sends a packet on when the link it came in by
// forwards, and asks no other (IN_DEV_FORWARD() in ip_route_input_slow()): the bridge for what guests
// send, the uplinks for the answers. Everything runs in the calling thread, whose network namespace
// /proc/sys shows.

import { readFileSync, writeFileSync } from "node:fs";
import { ForknetError, READ_ONLY_SYSCTLS } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import type { LinkInfo, Netlink } from "../kernel/binding.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import type { Difference } from "../plans/finding.js";

const SETTINGS = "/proc/sys/net/ipv4";
const HOST = `${SETTINGS}/ip_forward`;
/** Writing ip_forward sets this to the opposite, whatever it was, and every link to the same. */
const REDIRECTS = `${SETTINGS}/conf/all/accept_redirects`;
/** What new links get. */
const DEFAULT = `${SETTINGS}/conf/default/forwarding`;
const RTN_UNICAST = 1;

export interface ForwardingWish {
  bridge: string;
  /** The interface that guests leave by; undefined: the links of the default routes. */
  uplink: string | undefined;
  /** Leave to turn it on at links that are not forknet's own. */
  enable: boolean;
}

/** What does not forward and has to. */
export interface Lacking {
  links: LinkInfo[];
  /** No uplink is known, so the host as a whole has to forward. */
  host: boolean;
}

/** What was turned on: for the way back, which may be another process's. Plain data. */
export interface TurnedOn {
  name: string;
  ifindex: number;
  /** net.ipv4.ip_forward at that time. */
  hostForwards: boolean;
}

export function isForwarding(): boolean {
  return readFileSync(HOST, "utf8").trim() !== "0";
}

export function isLink(name: string): boolean {
  return withNetlink((netlink) => named(netlink, name).length > 0);
}

/** The links of the default routes, in whichever table these are. */
export function defaultLinks(netlink: Netlink): LinkInfo[] {
  const routes = netlink.routes({ prefixLength: 0 }).filter(({ type }) => type === RTN_UNICAST);
  const indexes = new Set(routes.flatMap(({ ifindex, hops = [] }) => [ifindex, ...hops]));
  indexes.delete(0);
  return [...indexes].flatMap((ifindex) => netlink.link({ ifindex }) ?? []);
}

/** A bridge that is not there yet lacks nothing: it is made forwarding. */
export function findLacking({ bridge, uplink }: ForwardingWish): Lacking {
  return withNetlink((netlink) => {
    const uplinks = uplink === undefined ? defaultLinks(netlink) : named(netlink, uplink);
    const links = [...named(netlink, bridge), ...uplinks.filter(({ name }) => name !== bridge)];
    const host = uplink === undefined && uplinks.length === 0 && !isForwarding();
    return { links: links.filter(({ forwarding }) => !forwarding), host };
  });
}

export function differencesOf({ links, host }: Lacking): Difference[] {
  // Turning it on turns it on at all links.
  if (host) return [{ what: "ip_forward", expected: "1", found: "0" }];
  return links.map(({ name }) => ({ what: "forwarding", expected: `1 at ${name}`, found: "0" }));
}

/** The part of it that may be turned on. */
export function allowedOf({ links, host }: Lacking, wish: ForwardingWish): Lacking {
  return { links: links.filter((link) => mayTurnOn(link, wish)), host: host && wish.enable };
}

/** A sentence when something lacks that only the operator may turn on. */
export function forbiddenOf({ links, host }: Lacking, wish: ForwardingWish): string | undefined {
  const names = links.filter((link) => !mayTurnOn(link, wish)).map(({ name }) => name);
  if (wish.enable || (!host && names.length === 0)) return undefined;
  const where = host ? "" : ` at ${names.join(" and ")}`;
  const keys = host ? ["net.ipv4.ip_forward"] : names.map(forwardingKey);
  const commands = keys.map((key) => `\`sysctl -w ${key}=1\``).join(" and ");
  return (
    `nat needs IPv4 forwarding${where}, which is off: run ${commands} ` +
    "or open with nat: { enableForwarding: true }"
  );
}

function mayTurnOn(link: LinkInfo, { bridge, enable }: ForwardingWish): boolean {
  return enable || (link.name === bridge && isOwnBridge(link));
}

/** Turns on what lacks. Throws PERMISSION or KERNEL. Each change is noted with its way back. */
export function turnOn({ links, host }: Lacking, note: (what: string, back: () => void) => void) {
  if (host) note("net.ipv4.ip_forward = 1", turnOnHost());
  else
    for (const link of links) {
      setForwarding(link, true);
      note(`${forwardingKey(link.name)} = 1`, () => setForwarding(link, false));
    }
}

/** As the record of a network keeps it. */
export function asTurnedOn({ links, host }: Lacking): TurnedOn[] {
  // The host's switch stays on: by then others may count on it.
  if (host) return [];
  const hostForwards = isForwarding();
  return links.map(({ name, ifindex }) => ({ name, ifindex, hostForwards }));
}

/**
 * Turns off what forknet turned on and nobody changed since. A host whose own switch was turned
 * since has somebody else who wants it so.
 */
export function putBack(turnedOn: readonly TurnedOn[]): void {
  const hostForwards = isForwarding();
  withNetlink((netlink) => {
    for (const one of turnedOn) {
      const link = netlink.link({ ifindex: one.ifindex });
      if (link?.forwarding && one.hostForwards === hostForwards) setForwarding(link, false);
    }
  });
}

/**
 * By /proc where it may be written: the kernel then also turns off LRO, whose merged frames cannot
 * be sent on (devinet_sysctl_forward()).
 */
function setForwarding({ name, ifindex }: LinkInfo, forwarding: boolean): void {
  const path = `${SETTINGS}/conf/${name}/forwarding`;
  try {
    writeFileSync(path, forwarding ? "1" : "0");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "EROFS") throw notWritten(path, cause);
    const [refusal] = withNetlink((netlink) =>
      netlink.talk([{ op: "link.set", ifindex, forwarding }]),
    );
    if (refusal) throw notWritten(path, cause);
  }
}

/** Returns the way back. */
function turnOnHost(): () => void {
  const redirects = readFileSync(REDIRECTS, "utf8");
  const ofNewLinks = readFileSync(DEFAULT, "utf8");
  const before = withNetlink((netlink) => netlink.links().filter(({ forwarding }) => forwarding));
  write(HOST, "1");
  return () => {
    write(HOST, "0");
    write(REDIRECTS, redirects);
    write(DEFAULT, ofNewLinks);
    for (const link of before) setForwarding(link, true);
  };
}

function write(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch (cause) {
    throw notWritten(path, cause);
  }
}

function notWritten(path: string, cause: unknown): ForknetError {
  const { code } = cause as NodeJS.ErrnoException;
  const how = code === "EROFS" ? `: ${READ_ONLY_SYSCTLS}` : "";
  return new ForknetError("ERR_FORKNET_PERMISSION", `cannot write ${path} (${code})${how}`, {
    cause,
  });
}

/** An alias of ours, or a bridge that nobody uses yet: one of ours that is half made, too. */
function isOwnBridge({ alias, up }: LinkInfo): boolean {
  return alias.startsWith(`${ALIAS_PREFIX}/bridge `) || !up;
}

/** For sysctl(8), which takes slashes as well: a link's name may hold dots. */
export function forwardingKey(link: string): string {
  return `net/ipv4/conf/${link}/forwarding`;
}

function named(netlink: Netlink, name: string): LinkInfo[] {
  const link = netlink.link({ name });
  return link ? [link] : [];
}

function withNetlink<T>(use: (netlink: Netlink) => T): T {
  const netlink = new (loadAddon().Netlink)();
  try {
    return use(netlink);
  } finally {
    netlink.close();
  }
}
