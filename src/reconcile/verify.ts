// verify(): reads back what the kernel enforces and tells what is not as it should be. Changes
// nothing; what it finds, reconcile repairs, because both read the same inspection.

import { readDrops } from "../lease/drops.js";
import type { Parts } from "../parts.js";
import type { Difference, Finding, Warning } from "../plans/finding.js";
import { inspect } from "./inspection.js";

/** One thing about one guest that is not as it should be. */
export interface VerifyDifference extends Difference {
  /** Instance id; the name of the bridge, the shaper or a warm slot's TAP for what is the network's. */
  subject: string;
}

/** Something of others that stands in the way of the network or a guest; reconcile leaves it alone. */
export interface VerifyWarning extends Warning {
  /** Instance id, or the name of the bridge. */
  subject: string;
}

/** What verify found. */
export interface VerifyReport {
  /** Guests that were compared; those in standby or with something under way are not. */
  compared: number;
  /** Empty when all is as it should be. */
  differences: VerifyDifference[];
  /** What nobody but a person puts right. Looked for when the whole network is. */
  warnings: VerifyWarning[];
  /** Packets that were dropped at the shaper because they had no class. Only grows. */
  unclassified: number;
  /** Packets that the shaper sent without a class, since it was made. 0 unless somebody changed its tree. */
  directPackets: number;
}

/**
 * Of all guests and the network itself, or of one guest; `withOverlaps` as inspect has it. Rejects
 * with NOT_FOUND and KERNEL.
 */
export async function verify(
  parts: Parts,
  instanceId?: string,
  withOverlaps = false,
): Promise<VerifyReport> {
  const only = instanceId === undefined ? undefined : parts.registry.must(instanceId);
  const found = await inspect(parts, only, withOverlaps);
  const { bridge, shaper, maps } = parts.facts;
  const isBridge = ({ what, repair }: Finding) =>
    repair.length === 0
      ? what !== "shaper"
      : repair.some((one) => "ifindex" in one && one.ifindex === bridge.ifindex);
  const about = (subject: string, findings: readonly Finding[]) =>
    findings.map(({ what, expected, found: actual }) => ({
      subject,
      what,
      expected,
      found: actual,
    }));
  const differences = [
    ...found.network.flatMap((one) => about(isBridge(one) ? bridge.name : shaper.name, [one])),
    ...found.nat.map((one) => ({ subject: bridge.name, ...one })),
    ...found.gone.map(({ guest, tap }) => ({ subject: guest.id, ...missing(tap.tapName) })),
    ...found.guests.flatMap(({ was, findings }) => about(was.guest.id, findings)),
    ...found.slots.flatMap(({ slot, findings }) => about(slot.port.tapName, findings)),
  ];
  return {
    compared: found.compared,
    differences,
    warnings: found.warnings,
    unclassified: readDrops(maps.drops).unclassified,
    directPackets: found.directPackets,
  };
}

function missing(tapName: string): Difference {
  return { what: "tap", expected: tapName, found: "nothing" };
}
