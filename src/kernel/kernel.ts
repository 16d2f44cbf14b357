// The seam between plans and the kernel: what a worker may ask for, with every refusal as a
// KernelFailure. A test replaces this module in the workers to make chosen operations fail (see
// lanes/worker.ts).

import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import type { KernelFailure } from "../errors.js";
import { loadAddon } from "./addon.js";
import type {
  Addon,
  AddressInfo,
  ClassInfo,
  FdbInfo,
  FilterInfo,
  LinkInfo,
  NeighborInfo,
  Netlink,
  QdiscInfo,
  TapOptions,
} from "./binding.js";
import { describe } from "./describe.js";
import type { Ipv4, Message } from "./messages.js";
import type { RouteInfo, RuleInfo } from "./route-info.js";

// The refusals that plans tell apart.
export const ENOENT = 2;
export const EBUSY = 16;
export const ENODEV = 19;
export const EINVAL = 22;
export const EROFS = 30;
export const EOPNOTSUPP = 95;

// Of a neighbour's or a forwarding entry's state: a static entry, and one that nothing ages.
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;

/** Carries a KernelFailure up to the edge of a plan; never leaves a worker. */
export class Refused extends Error {
  readonly failure: KernelFailure;
  constructor(failure: KernelFailure) {
    super(failure.operation);
    this.failure = failure;
  }
}

/** The device a failure is about: one for all messages, or looked up for each. */
export type DeviceName = string | ((message: Message) => string);

/** What plans use. One per worker: it owns a netlink socket. */
export interface Kernel {
  /**
   * Sends messages in order and returns one failure or null for each; a refused message does not
   * stop the rest. `device` is the name that failures are reported under, or tells it for a
   * message.
   */
  talk(messages: readonly Message[], device: DeviceName): (KernelFailure | null)[];
  /** Attaches to or makes a TAP. The caller closes `fd`. Throws Refused. */
  openTap(options: TapOptions): { fd: number; ifindex: number };
  setTapPersistent(fd: number, persistent: boolean): void;
  setTapOwner(fd: number, uid: number): void;
  setTapGroup(fd: number, gid: number): void;
  closeFd(fd: number): void;
  links(filter?: { master?: number; kind?: string }): LinkInfo[];
  link(which: { ifindex: number } | { name: string }): LinkInfo | undefined;
  qdiscs(ifindex?: number): QdiscInfo[];
  classes(ifindex: number): ClassInfo[];
  filters(ifindex: number, parent: number): FilterInfo[];
  addresses(ifindex?: number): AddressInfo[];
  routes(): RouteInfo[];
  rules(): RuleInfo[];
  neighbors(ifindex: number): NeighborInfo[];
  fdb(bridgeIfindex: number): FdbInfo[];
  /** Deletes what connection tracking knows of these addresses; how many flows that were. */
  forgetFlows(ips: readonly Ipv4[]): number;
  /** The same of all addresses of a subnet but these. */
  forgetFlowsBut(kept: readonly Ipv4[], subnet: { network: Ipv4; mask: Ipv4 }): number;
  /** The number of the socket that talks: what it causes carries this number to who listens. */
  port(): number;
  /** uname(2)'s, such as "6.1.0-57-cloud-amd64". */
  release(): string;
  readonly bpf: Addon["bpf"];
}

/** The real kernel. */
export function createKernel(): Kernel {
  const addon = loadAddon();
  const netlink: Netlink = new addon.Netlink();
  return {
    talk(messages, device) {
      const refusals = guarded("send", "", () => netlink.talk(messages));
      return refusals.map((refusal, i) => {
        if (refusal === null) return null;
        const message = messages[i] as Message;
        const name = typeof device === "string" ? device : device(message);
        return { operation: describe(message), device: name, ...refusal, leftBehind: [] };
      });
    },
    openTap: (options) => guarded("TUNSETIFF", options.name, () => addon.openTap(options)),
    setTapPersistent: (fd, on) =>
      guarded("TUNSETPERSIST", "", () => addon.setTapPersistent(fd, on)),
    setTapOwner: (fd, uid) => guarded("TUNSETOWNER", "", () => addon.setTapOwner(fd, uid)),
    setTapGroup: (fd, gid) => guarded("TUNSETGROUP", "", () => addon.setTapGroup(fd, gid)),
    closeFd: (fd) => addon.closeFd(fd),
    links: (filter) => guarded("RTM_GETLINK", "", () => netlink.links(filter)),
    link: (which) =>
      guarded("RTM_GETLINK", "name" in which ? which.name : "", () => netlink.link(which)),
    qdiscs: (ifindex) => guarded("RTM_GETQDISC", "", () => netlink.qdiscs(ifindex)),
    // A TBF counts as a class of its own, 4010:1 for the leaf 4010:.
    classes: (ifindex) =>
      guarded("RTM_GETTCLASS", "", () => netlink.classes(ifindex)).filter(
        ({ kind }) => kind === "htb",
      ),
    filters: (ifindex, parent) =>
      guarded("RTM_GETTFILTER", "", () => netlink.filters(ifindex, parent)),
    addresses: (ifindex) => guarded("RTM_GETADDR", "", () => netlink.addresses(ifindex)),
    routes: () => guarded("RTM_GETROUTE", "", () => netlink.routes()),
    rules: () => guarded("RTM_GETRULE", "", () => netlink.rules()),
    neighbors: (ifindex) => guarded("RTM_GETNEIGH", "", () => netlink.neighbors(ifindex)),
    fdb: (bridge) => guarded("RTM_GETNEIGH", "", () => netlink.fdb(bridge)),
    forgetFlows: (ips) => unlessNone(() => netlink.forgetFlows(ips)),
    forgetFlowsBut: (kept, { network, mask }) =>
      unlessNone(() => netlink.forgetFlowsBut(kept, network, mask)),
    port: () => guarded("getsockname", "", () => netlink.port()),
    release,
    bpf: guardedBpf(addon.bpf),
  };
}

/** Of this thread's namespace; it is there when connection tracking is. */
const FLOW_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count";

/**
 * Asks connection tracking only where it knows any flow: the question alone would load it into a
 * kernel that does without, and walks its whole table.
 */
function unlessNone(forget: () => number): number {
  return guarded("IPCTNL_MSG_CT_DELETE", "", () => {
    const count = existsSync(FLOW_COUNT) ? Number(readFileSync(FLOW_COUNT, "utf8")) : 0;
    return count === 0 ? 0 : forget();
  });
}

/** Sends messages of which none may fail; throws Refused for the first that did. */
export function mustTalk(kernel: Kernel, messages: readonly Message[], device: string): void {
  const failure = kernel.talk(messages, device).find((result) => result !== null);
  if (failure) throw new Refused(failure);
}

/** Runs a system call and turns its Node-shaped error into a Refused. */
export function guarded<T>(operation: string, device: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new Refused(failureOf(error, operation, device));
  }
}

/** A KernelFailure for anything thrown inside a worker. */
export function failureOf(error: unknown, operation: string, device: string): KernelFailure {
  if (error instanceof Refused) return error.failure;
  const { errno, syscall, message } = error as {
    errno?: number;
    syscall?: string;
    message?: string;
  };
  return {
    operation: syscall ?? operation,
    device,
    errno: Math.abs(errno ?? 0),
    text: errno ? "" : String(message ?? error),
    leftBehind: [],
  };
}

function guardedBpf(bpf: Addon["bpf"]): Addon["bpf"] {
  const wrapped = Object.entries(bpf).map(([name, call]) => [
    name,
    (...args: unknown[]) =>
      guarded("BPF", "", () => (call as (...a: unknown[]) => unknown)(...args)),
  ]);
  return Object.fromEntries(wrapped) as Addon["bpf"];
}
