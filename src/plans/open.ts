// How a network opens: conflicts first, then shaper, programs and bridge, then what is already
// there. Runs in the create lane. On failure everything it made is taken back.

import { closeSync, openSync } from "node:fs";
import type { BitsPerSecond } from "../bandwidth.js";
import type { NetworkFacts } from "../facts.js";
import { macOf, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { ENODEV, failureOf, type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import { type Adoption, adopt } from "./adopt.js";
import { ensureBridge } from "./bridge.js";
import { chooseGroup } from "./condemned.js";
import { checkConflicts } from "./conflicts.js";
import { type Warning, warningOf } from "./finding.js";
import { leasedIn, writeSettings } from "./maps.js";
import { findOwnTaps } from "./ownership.js";
import { ensurePrograms, needsMirred } from "./programs.js";
import { ensureShaper, shaperName } from "./shaper.js";
import { classifyFilter } from "./slot.js";
import { hasIpv6 } from "./sysctl.js";
import { EADDRNOTAVAIL, type Undo, undoing } from "./undo.js";
import { unprovedObstacle } from "./unproved.js";

/** What opening needs of the options. Plain data. */
export interface OpenJob {
  bridge: string;
  subnet: Subnet;
  isolated: boolean;
  translate: boolean;
  uploadCapacity: BitsPerSecond;
  tap: NetworkFacts["tap"];
  unverifiedChecksums: "drop" | "accept" | undefined;
  /** Undefined: nothing of the guests is forwarded as far as forknet goes. */
  nat: object | undefined;
}

export interface Opened {
  facts: NetworkFacts;
  adoption: Adoption;
  /** What others did on the host since the network was made. */
  warnings: Warning[];
}

/** What open() looks at first. Whether the network is there already. Throws Refused; changes nothing. */
export function check(kernel: Kernel, { bridge, subnet }: OpenJob): boolean {
  checkTunDevice();
  return checkConflicts(kernel, bridge, subnet).isThere;
}

/** Makes or adopts the network's own objects. Throws Refused; then the kernel is as it was. */
export function open(kernel: Kernel, job: OpenJob): Opened {
  const { bridge: bridgeName, subnet } = job;
  checkTunDevice();
  const { bridge: found, warnings } = checkConflicts(kernel, bridgeName, subnet);
  const ipv6 = hasIpv6();
  return undoing((undo) => {
    const former = kernel.link({ name: shaperName(subnet.gateway) });
    const loaded = ensurePrograms(kernel, subnet.gateway, former?.ifindex, job, undo);
    const { maps, programs, programIds, checksums, adopted } = loaded;
    const taps = findOwnTaps(kernel, found?.ifindex, subnet, leasedIn(kernel, maps));
    const mirrored = needsMirred(kernel.release());
    const facts: NetworkFacts = {
      ...ensureDevices(kernel, { ...job, mirrored, checksums }, maps, found, undo),
      gateway: { ip: subnet.gateway, mac: macOf(subnet.gateway) },
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
    const adoption = adopt(kernel, facts, subnet, taps, adopted);
    const unproved = adoption.unproved.map(({ tapName }) => unprovedObstacle(tapName, bridgeName));
    return { facts, adoption, warnings: [...warnings, ...unproved.map(warningOf)] };
  });
}

/** What is made anew when somebody deleted it. */
export type Devices = Pick<NetworkFacts, "bridge" | "shaper" | "condemnedGroup">;

function ensureDevices(
  kernel: Kernel,
  job: OpenJob & Pick<NetworkFacts, "mirrored" | "checksums">,
  maps: NetworkFacts["maps"],
  found: LinkInfo | undefined,
  undo: Undo,
): Devices {
  const { bridge: name, subnet, uploadCapacity, nat } = job;
  const ipv6 = hasIpv6();
  const shaper = ensureShaper(kernel, name, subnet.gateway, uploadCapacity, ipv6, undo);
  writeSettings(kernel, maps, subnet, shaper.ifindex, job, undo);
  const forwards = nat !== undefined;
  const wish = { name, subnet, found, ipv6, forwards, shaper };
  const bridge = ensureBridge(kernel, wish, undo);
  return {
    bridge,
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
  const { bridge: found } = checkConflicts(kernel, job.bridge, job.subnet, true);
  return undoing((undo) => {
    const { mirrored, checksums } = facts;
    const devices = ensureDevices(kernel, { ...job, mirrored, checksums }, facts.maps, found, undo);
    const filter = classifyFilter({ ...facts, ...devices }, "replace");
    mustTalk(kernel, [filter], devices.shaper.name);
    // The shaper whose alias remembered it is gone; the next look finds that the new one's does not.
    const { bridge } = devices;
    const isSame = bridge.ifindex === facts.bridge.ifindex;
    const addressAdded = bridge.addressAdded || (isSame && facts.bridge.addressAdded);
    return { ...devices, bridge: { ...bridge, addressAdded } };
  });
}

/**
 * Takes down the shaper, and the bridge when it is ours, else our address on it. The TAPs are gone already, but for those
 * that could not be deleted before: without the bridge nobody would find them again.
 */
export function destroy(kernel: Kernel, facts: NetworkFacts, subnet: Subnet): void {
  const { bridge, shaper } = facts;
  const own = bridge.madeByUs ? [shaper, bridge] : [shaper];
  // While the shaper is there to remember it.
  if (bridge.addressAdded) removeAddress(kernel, bridge, subnet);
  const taps = findOwnTaps(kernel, bridge.ifindex, subnet, leasedIn(kernel, facts.maps));
  for (const { name, ifindex } of [...taps, ...own]) {
    const [failure] = kernel.talk([{ op: "link.delete", ifindex }], name);
    if (failure && failure.errno !== ENODEV) throw new Refused(failure);
  }
}

function removeAddress(
  kernel: Kernel,
  { ifindex, name }: NetworkFacts["bridge"],
  { gateway: ip, prefixLength }: Subnet,
): void {
  const [failure] = kernel.talk([{ op: "address.delete", ifindex, ip, prefixLength }], name);
  const isGone = failure?.errno === ENODEV || failure?.errno === EADDRNOTAVAIL;
  if (failure && !isGone) throw new Refused(failure);
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
