// The programs of a network, loaded on its maps (maps.ts). Which form of the guard that is, is decided
// in checksum-way.ts.

import type { NetworkFacts } from "../facts.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { ProgramName } from "../kernel/program-name.js";
import { chooseGuard, type GuardChoice } from "./checksum-way.js";
import { createMaps, findMaps, MAP_NAMES } from "./maps.js";
import type { Undo } from "./undo.js";

const FIRST_TO_REDIRECT = { major: 6, minor: 5 };

/** `adopted` is false when the maps are new and hold no lease. */
export function ensurePrograms(
  kernel: Kernel,
  gateway: Ipv4,
  shaperIfindex: number | undefined,
  choice: GuardChoice,
  undo: Undo,
): Pick<NetworkFacts, "maps" | "programs" | "programIds" | "checksums"> & { adopted: boolean } {
  const found = findMaps(kernel, gateway, shaperIfindex);
  const maps = found ?? createMaps(kernel, undo);
  if (found)
    for (const name of MAP_NAMES) undo.push(`map ${name}`, () => kernel.closeFd(found[name]));
  const load = (program: ProgramName) => {
    const loaded = kernel.bpf.loadProgram(program, maps);
    undo.push(`program ${program}`, () => kernel.closeFd(loaded.fd));
    return loaded;
  };
  const { guard, checksums } = chooseGuard(kernel, choice, load);
  const gate = load(choice.translate ? "gate_translate" : "gate");
  const classify = load("classify");
  return {
    maps,
    programs: { guard: guard.fd, gate: gate.fd, classify: classify.fd },
    programIds: { guard: guard.id, gate: gate.id, classify: classify.id },
    checksums,
    adopted: found !== undefined,
  };
}

/**
 * Whether a frame that bpf_redirect brings to an IFB is dropped there, as it is before Linux 6.5 (`__bpf_tx_skb` does not
 * set what `ifb_xmit` asks for). A version is compared because a try would cost every open a link and a frame, and
 * because a wrong "yes" does no harm: mirred works on every kernel.
 */
export function needsMirred(release: string): boolean {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  return (
    major < FIRST_TO_REDIRECT.major ||
    (major === FIRST_TO_REDIRECT.major && minor < FIRST_TO_REDIRECT.minor)
  );
}
