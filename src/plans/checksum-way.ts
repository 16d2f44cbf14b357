// How a network's guards judge frames whose checksum the guest leaves to the host, which writes it
// after they were judged: the best way that this kernel and this process's capabilities allow.

import type { ChecksumWay } from "../facts.js";
import type { BpfObject } from "../kernel/binding.js";
import { failureOf, type Kernel, Refused } from "../kernel/kernel.js";
import type { ProgramName } from "../kernel/program-name.js";
import { tryPending } from "./checksum-trial.js";

/** What the options say about a network's guards. */
export interface GuardChoice {
  translate: boolean;
  unverifiedChecksums: "drop" | "accept" | undefined;
}

const ENOENT = 2;
/** EINTR, EAGAIN, ENOMEM, EBUSY, ENFILE, EMFILE, ENOBUFS: what works at another time. */
const TRANSIENT: readonly number[] = [4, 11, 12, 16, 23, 24, 105];

/**
 * Loads the guard. The kernel is asked by using it: the verifier takes the guard that reads kernel
 * types, or helpers are tried on a link of our own. Throws Refused, UNSUPPORTED where nothing works
 * and the options do not say what to do then.
 */
export function chooseGuard(
  kernel: Kernel,
  { translate, unverifiedChecksums }: GuardChoice,
  load: (program: ProgramName) => BpfObject,
): { guard: BpfObject; checksums: ChecksumWay } {
  const name = translate ? "guard_translate" : "guard";
  let lacking: string;
  try {
    return { guard: load(`${name}_kfunc`), checksums: "kfunc" };
  } catch (error) {
    const { errno } = failureOf(error, "BPF", "");
    if (TRANSIENT.includes(errno)) throw error;
    lacking =
      errno === ENOENT ? "Linux 6.2 or newer with BTF" : "CAP_PERFMON, and Linux 6.2 or newer";
  }
  const guard = load(name);
  const fault = tryPending(kernel, "helpers");
  if (fault === undefined) return { guard, checksums: "helpers" };
  if (unverifiedChecksums === "accept") return { guard, checksums: "accept" };
  if (unverifiedChecksums === "drop" && tryPending(kernel, "drop") === undefined)
    return { guard, checksums: "drop" };
  throw new Refused({
    operation: "open",
    device: "",
    errno: 0,
    code: "ERR_FORKNET_UNSUPPORTED",
    leftBehind: [],
    text:
      `the guard cannot tell which bytes of a frame the host writes when a guest leaves its checksum to it: ` +
      `reading them needs ${lacking}, and the helpers of kernel ${kernel.release()} do not tell it (${fault}). ` +
      `Give that, or open with unverifiedChecksums: "drop" (such frames are lost: switch checksum offload off ` +
      `in the guests) or "accept" (a guest can then send other addresses and ports than were judged)`,
  });
}
