// What the kernel does otherwise than the leases of live guests say, without an agent. Less than the
// agent compares: what its options decide (bursts, queues, isolation) nobody knows here.

import { toBytesPerSecond, UNLIMITED } from "../bandwidth.js";
import { classHandle, EGRESS, INGRESS } from "../facts.js";
import { formatClass } from "../identity/class-pool.js";
import { formatOwner, ownerOf } from "../identity/tap-owner.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { formatAlias } from "../lease/alias.js";
import type { Lease } from "../lease/lease.js";
import { warningOf } from "../plans/finding.js";
import { OPENED, wasOpened } from "../plans/give.js";
import { type KernelNetwork, subnetOf } from "../plans/kernel-networks.js";
import { findObstacles } from "../plans/obstacles.js";
import { findOverlaps } from "../plans/overlap.js";
import type { VerifyDifference, VerifyReport, VerifyWarning } from "../reconcile/verify.js";
import { type HeldTap, type KernelLook, look } from "./kernel-status.js";

/** Of all live guests and the devices, or of one guest: an empty list of `compared` is no such guest. */
export function kernelDifferences(
  kernel: Kernel,
  network: KernelNetwork,
  instanceId: string | undefined,
): Pick<VerifyReport, "compared" | "differences" | "warnings"> & { notes: string[] } {
  const notes: string[] = [];
  const found = look(kernel, network, notes);
  const held = found.held.filter(
    ({ lease }) => instanceId === undefined || lease.instanceId === instanceId,
  );
  const differences =
    instanceId === undefined ? [...missingDevices(network), ...openSlots(found.taps, held)] : [];
  for (const { tap, lease } of held) {
    const facts = [
      ...linkFacts(tap, lease, network),
      ...shapingFacts(tap, lease, found),
      ...programFacts(kernel, tap),
    ];
    for (const [what, expected, actual] of facts) {
      if (expected !== actual)
        differences.push({ subject: lease.instanceId, what, expected, found: actual });
    }
  }
  const isAll = instanceId === undefined;
  return {
    compared: held.length,
    differences,
    warnings: isAll ? warnings(kernel, network) : [],
    notes,
  };
}

function warnings(kernel: Kernel, network: KernelNetwork): VerifyWarning[] {
  const { bridge, bridgeLink } = network;
  const subnet = subnetOf(kernel, network);
  const found = [
    // What it was opened with is the agent's to know.
    ...(bridgeLink
      ? findObstacles(kernel, bridgeLink, {
          subnet,
          hasNat: false,
          mtu: undefined,
          isMtuAsked: false,
        })
      : []),
    ...findOverlaps(kernel, bridgeLink?.ifindex, subnet),
  ];
  return found.map((one) => ({ subject: bridge, ...warningOf(one) }));
}

/** What, as it should be, as it is. */
type Fact = [what: string, expected: string, found: string];

function missingDevices({ bridge, bridgeLink, shaper }: KernelNetwork): VerifyDifference[] {
  const gone = { subject: bridge, found: "nothing" };
  return [
    ...(bridgeLink ? [] : [{ ...gone, what: "bridge", expected: bridge }]),
    ...(shaper ? [] : [{ ...gone, what: "shaper", expected: `the shaper of ${bridge}` }]),
  ];
}

/** Warm slots that a process has opened, though no guest has them. */
function openSlots(taps: readonly LinkInfo[], held: readonly HeldTap[]): VerifyDifference[] {
  const guests = new Set(held.map(({ tap }) => tap.ifindex));
  return taps
    .filter((tap) => !guests.has(tap.ifindex) && wasOpened(tap))
    .map(({ name }) => ({ subject: name, ...OPENED }));
}

function linkFacts(tap: LinkInfo, lease: Lease, { bridge, bridgeLink }: KernelNetwork): Fact[] {
  const isPort = bridgeLink !== undefined && tap.master === bridgeLink.ifindex;
  return [
    ["alias", formatAlias(lease), tap.alias],
    ["bridge", bridge, isPort ? bridge : "none"],
    ["link", "up", tap.up ? "up" : "down"],
    ...ownerFact(tap, lease),
  ];
}

/** The owner of a guest that has none of its own is the agent's to know. */
function ownerFact({ tun }: LinkInfo, { owner }: Lease): Fact[] {
  return owner ? [["owner", formatOwner(owner), formatOwner(ownerOf(tun ?? {}))]] : [];
}

function shapingFacts(tap: LinkInfo, lease: Lease, { tbfs, classes }: KernelLook): Fact[] {
  const { download, upload } = lease.limits;
  const tbf = tbfs.get(tap.ifindex);
  const own = classes.get(classHandle(lease.classMinor));
  const name = `class ${formatClass(lease.classMinor)}`;
  const bytes = (rate: number | undefined) =>
    rate === undefined ? "nothing" : `${rate} bytes per second`;
  const facts: Fact[] = [
    ["download", bytes(toBytesPerSecond(download ?? UNLIMITED)), bytes(tbf?.rate)],
  ];
  if (!upload) return [...facts, [name, "there", own ? "there" : "nothing"]];
  return [
    ...facts,
    [`${name} rate`, bytes(toBytesPerSecond(upload.rate)), bytes(own?.rate)],
    [`${name} ceil`, bytes(toBytesPerSecond(upload.ceil)), bytes(own?.ceil)],
  ];
}

function programFacts(kernel: Kernel, { ifindex }: LinkInfo): Fact[] {
  const at = (parent: number, name: string): Fact => {
    const isThere = kernel
      .filters(ifindex, parent)
      .some(({ bpf }) => bpf?.name.startsWith("forknet-") && (bpf.directAction || bpf.redirectTo));
    return [name, "a program of forknet", isThere ? "a program of forknet" : "nothing"];
  };
  return [at(INGRESS, "guard"), at(EGRESS, "gate")];
}
