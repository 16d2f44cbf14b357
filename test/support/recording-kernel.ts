// A kernel that does nothing and remembers what it was told; chosen operations are refused. For
// plans as pure data.

import type { KernelFailure } from "../../src/errors.js";
import type { NetworkFacts } from "../../src/facts.js";
import { describe } from "../../src/kernel/describe.js";
import { type Kernel, Refused } from "../../src/kernel/kernel.js";
import type { Message } from "../../src/kernel/messages.js";

export const TAP_IFINDEX = 7;

export const FACTS: NetworkFacts = {
  bridge: {
    name: "vmbr0",
    ifindex: 3,
    madeByUs: true,
    addressAdded: false,
    broughtUp: false,
  },
  shaper: { name: "fku0a640001", ifindex: 4 },
  gateway: { ip: 0x0a640001, mac: 0x02000a640001 },
  mtu: 1500,
  isolated: true,
  translate: false,
  mirrored: false,
  checksums: "kfunc",
  ipv6: true,
  tap: { owner: 0, vnetHdr: true, multiQueue: false },
  programs: { guard: 11, gate: 12, classify: 13 },
  programIds: { guard: 111, gate: 112, classify: 113 },
  maps: { leases: 14, settings: 15, drops: 16 },
  condemnedGroup: 0x666b0003,
};

export interface Recording {
  kernel: Kernel;
  /**
   * Every operation in order: messages as describe() names them with their device, and the names of
   * other calls.
   */
  operations: string[];
  messages: Message[];
}

/** `errnoOf` says with which errno an operation is refused, 0 for not. */
export function recordingKernel(
  errnoOf: (operation: string, nth: number) => number = () => 0,
): Recording {
  const operations: string[] = [];
  const messages: Message[] = [];
  const failed = (operation: string, device: string): KernelFailure | null => {
    operations.push(device ? `${operation} on ${device}` : operation);
    const errno = errnoOf(operation, operations.length);
    return errno ? { operation, device, errno, text: "", leftBehind: [] } : null;
  };
  const must = (operation: string, device: string) => {
    const failure = failed(operation, device);
    if (failure) throw new Refused(failure);
  };
  const kernel = {
    talk: (sent: readonly Message[], device: string | ((message: Message) => string)) => {
      messages.push(...sent);
      return sent.map((message) =>
        failed(describe(message), typeof device === "string" ? device : device(message)),
      );
    },
    openTap: ({ name }: { name: string }) => {
      must("TUNSETIFF", name);
      return { fd: 99, ifindex: TAP_IFINDEX };
    },
    setTapPersistent: () => must("TUNSETPERSIST", ""),
    closeFd: (fd: number) => operations.push(`close ${fd}`),
    link: () => undefined,
  };
  return { kernel: kernel as unknown as Kernel, operations, messages };
}
