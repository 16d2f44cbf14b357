// How a network opens: conflicts first, then shaper, programs and bridge, then what is already
// there. Runs in the create lane. On failure everything it made is taken back.

import { closeSync, openSync } from "node:fs";
import type { BitsPerSecond } from "../bandwidth.js";
import type { NetworkFacts } from "../facts.js";
import type { LinkInfo } from "../kernel/binding.js";
import { failureOf, type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";
import { type Adoption, adopt } from "./adopt.js";
import { bridgeAlias, provideBridge, settleBridge } from "./bridge.js";
import { chooseGroup } from "./condemned.js";
import { checkConflicts, checkName, type Wanted } from "./conflicts.js";
import { type Warning, warningOf } from "./finding.js";
import { leasedIn, writeSettings } from "./maps.js";
import { findHosts } from "./others.js";
import { findOwnTaps } from "./ownership.js";
import { ensurePrograms, needsMirred } from "./programs.js";
import { ensureShaper, shaperName } from "./shaper.js";
import { classifyFilter } from "./slot.js";
import { hasIpv6 } from "./sysctl.js";
import { type Undo, undoing } from "./undo.js";
import { unprovedObstacle } from "./unproved.js";

/** What opening needs of the options. Plain data. */
export interface OpenJob extends Wanted {
  isolated: boolean;
  translate: boolean;
  uploadCapacity: BitsPerSecond;
  tap: NetworkFacts["tap"];
  unverifiedChecksums: "drop" | "accept" | undefined;
  mtu: number | undefined;
}

export interface Opened {
  facts: NetworkFacts;
  adoption: Adoption;
  /** What others did on the host since the network was made. */
  warnings: Warning[];
  /** Addresses of the subnet that hosts behind the bridge have. */
  hosts: Ipv4[];
}

/** What open() looks at first. Whether the network is there already. Throws Refused; changes nothing. */
export function check(kernel: Kernel, job: OpenJob): boolean {
  checkTunDevice();
  return checkConflicts(kernel, job).isThere;
}

/** Makes or adopts the network's own objects. Throws Refused; then the kernel is as it was. */
export function open(kernel: Kernel, job: OpenJob): Opened {
  const { subnet } = job;
  checkTunDevice();
  const { bridge: found, warnings } = checkConflicts(kernel, job);
  const ipv6 = hasIpv6();
  return undoing((undo) => {
    const former = kernel.link({ name: shaperName(subnet.gateway) });
    const loaded = ensurePrograms(kernel, subnet.gateway, former?.ifindex, job, undo);
    const { maps, programs, programIds, checksums, adopted } = loaded;
    const taps = findOwnTaps(kernel, found?.ifindex, subnet, leasedIn(kernel, maps));
    const mirrored = needsMirred(kernel.release());
    const facts: NetworkFacts = {
      ...ensureDevices(kernel, { ...job, mirrored, checksums }, maps, found, undo),
      isolated: job.isolated,
      translate: job.translate,
      mirrored,
      checksums,
      ipv6,
      tap: job.tap,
      programs,
      programIds,
      maps,
    };
    mustTalk(kernel, [classifyFilter(facts, "replace")], facts.shaper.name);
    const hosts = findHosts(kernel, facts.bridge.ifindex, subnet);
    const adoption = adopt(kernel, facts, subnet, taps, adopted);
    const unproved = adoption.unproved.map(({ tapName }) => unprovedObstacle(tapName, job.bridge));
    return { facts, adoption, warnings: [...warnings, ...unproved.map(warningOf)], hosts };
  });
}

/** What is made anew when somebody deleted it. */
export type Devices = Pick<NetworkFacts, "bridge" | "gateway" | "shaper" | "condemnedGroup">;

/** `mtu`: what the bridge that is there wants of its TAPs. */
type Made = Devices & Pick<NetworkFacts, "mtu">;

function ensureDevices(
  kernel: Kernel,
  job: OpenJob & Pick<NetworkFacts, "mirrored" | "checksums">,
  maps: NetworkFacts["maps"],
  found: LinkInfo | undefined,
  undo: Undo,
  former?: NetworkFacts["bridge"],
): Made {
  const { bridge: name, subnet, uploadCapacity, nat } = job;
  const ipv6 = hasIpv6();
  const { gateway } = subnet;
  const wish = { name, subnet, ipv6, forwards: nat !== undefined, mtu: job.mtu };
  const link = provideBridge(kernel, wish, found, undo);
  const isKnown = former?.madeByUs === true && former.ifindex === link.ifindex;
  const isOwn = isKnown || link.alias === bridgeAlias(subnet);
  // Before anything changes on somebody else's bridge: it remembers what was changed.
  const shaper = ensureShaper(
    kernel,
    { bridge: link, isOwn, gateway, capacity: uploadCapacity, ipv6 },
    undo,
  );
  const { mac, mtu, ...bridge } = settleBridge(kernel, link, { ...wish, shaper }, undo);
  writeSettings(kernel, maps, subnet, { ...job, shaper: shaper.ifindex, mac }, undo);
  return {
    bridge,
    gateway: { ip: gateway, mac },
    mtu,
    shaper: { name: shaper.name, ifindex: shaper.ifindex },
    condemnedGroup: chooseGroup(
      kernel,
      bridge.ifindex,
      findOwnTaps(kernel, bridge.ifindex, subnet, leasedIn(kernel, maps)),
    ),
  };
}

/**
 * Makes bridge or shaper anew, for an open network whose own was deleted from outside. Throws
 * Refused, CONFLICT when somebody else has taken the name.
 */
export function restore(
  kernel: Kernel,
  { facts, ...job }: OpenJob & { facts: NetworkFacts },
): Devices {
  checkName(kernel, facts.bridge);
  const { bridge: found } = checkConflicts(kernel, job, true);
  return undoing((undo) => {
    const { mirrored, checksums, mtu: kept } = facts;
    // The guests' TAPs stay as they are: an MTU of a bridge that does not suit them is a warning.
    const { mtu: _, ...devices } = ensureDevices(
      kernel,
      { ...job, mtu: kept, mirrored, checksums },
      facts.maps,
      found,
      undo,
      facts.bridge,
    );
    const filter = classifyFilter({ ...facts, ...devices }, "replace");
    mustTalk(kernel, [filter], devices.shaper.name);
    // The shaper that remembered it may be gone; the next look finds that the new one does not.
    const { bridge } = devices;
    const isSame = bridge.ifindex === facts.bridge.ifindex;
    const addressAdded = bridge.addressAdded || (isSame && facts.bridge.addressAdded);
    const broughtUp = bridge.broughtUp || (isSame && facts.bridge.broughtUp);
    return { ...devices, bridge: { ...bridge, addressAdded, broughtUp } };
  });
}

/** Opening the device is the probe: its mode bits say nothing about a container's device policy. */
function checkTunDevice(): void {
  try {
    closeSync(openSync("/dev/net/tun", "r+"));
  } catch (error) {
    // Node's own name for it is "open", which does not say of what.
    throw new Refused({ ...failureOf(error, "open", ""), operation: "open /dev/net/tun" });
  }
}
