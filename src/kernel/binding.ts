// The raw layer: what the C++ addon exports, one to one. Only src/kernel/addon.ts imports it.
// Types only; src/kernel/addon.ts loads the binary and is the only file that imports it.

import type { BpfFilter } from "./bpf-filter.js";
import type { LinkInfo } from "./link-info.js";
import type { Monitor, RulesetMonitor } from "./listeners.js";
import type { Ipv4, Mac, Message, TcHandle } from "./messages.js";
import type { ProgramName } from "./program-name.js";
import type { RouteInfo, RuleInfo } from "./route-info.js";
import type { UnixSockets } from "./unix-sockets.js";

export type { LinkInfo, PortFlags, PortInfo } from "./link-info.js";

/** One message's refusal. `errno` is positive; `text` is the extended ack, or "". */
export interface Refusal {
  errno: number;
  text: string;
}

export interface TcStats {
  bytes: number;
  packets: number;
  drops: number;
  overlimits: number;
  backlogBytes: number;
  queueLength: number;
}

export interface QdiscInfo {
  ifindex: number;
  kind: string;
  handle: TcHandle;
  parent: TcHandle;
  stats: TcStats;
  tbf?: { rate: number; burstBytes: number; limitBytes: number };
  htb?: { defaultMinor: number; directPackets: number };
  bfifo?: { limitBytes: number };
}

export interface ClassInfo {
  ifindex: number;
  kind: string;
  handle: TcHandle;
  parent: TcHandle;
  /** Handle of the leaf qdisc, 0 for none. */
  leaf: TcHandle;
  rate: number;
  ceil: number;
  burstBytes: number;
  cburstBytes: number;
  quantumBytes: number;
  stats: TcStats;
}

export interface FilterInfo {
  ifindex: number;
  kind: string;
  parent: TcHandle;
  priority: number;
  /** Host byte order: 0x0003 is ETH_P_ALL. */
  protocol: number;
  handle: number;
  bpf?: BpfFilter;
}

export interface AddressInfo {
  ifindex: number;
  ip: Ipv4;
  prefixLength: number;
}

export interface NeighborInfo {
  ifindex: number;
  ip: Ipv4;
  mac: Mac;
  /** NUD_*: permanent is 0x80. */
  state: number;
}

export interface FdbInfo {
  ifindex: number;
  mac: Mac;
  /** NUD_*: static is NUD_NOARP 0x40, a local address NUD_PERMANENT 0x80. */
  state: number;
}

/**
 * One NETLINK_ROUTE socket: strict checking and extended acks on, close-on-exec, a receive
 * time-out.
 */
export interface Netlink {
  /**
   * Sends the messages (at most 128 per system call, in order) and reads one ack for each. A
   * refused message does not stop the ones after it. Throws a TypeError before sending anything
   * when a message is malformed.
   */
  talk(messages: readonly Message[]): (Refusal | null)[];
  /** Filtered in the kernel by master and kind where given. Retries an interrupted dump. */
  links(filter?: { master?: number; kind?: string }): LinkInfo[];
  /** undefined for ENODEV. */
  link(which: { ifindex: number } | { name: string }): LinkInfo | undefined;
  qdiscs(ifindex?: number): QdiscInfo[];
  classes(ifindex: number): ClassInfo[];
  filters(ifindex: number, parent: TcHandle): FilterInfo[];
  /** IPv4 only. */
  addresses(ifindex?: number): AddressInfo[];
  /** IPv4 only, every table. Filtered here, as the kernel cannot: hosts may have very many. */
  routes(filter?: { prefixLength?: number }): RouteInfo[];
  /** IPv4 only: `ip rule`. */
  rules(): RuleInfo[];
  /** IPv4 only. */
  neighbors(ifindex?: number): NeighborInfo[];
  /** Forwarding entries of a bridge's ports (and of the bridge itself). */
  fdb(bridgeIfindex: number): FdbInfo[];
  /** From connection tracking, at either end; how many: `conntrack -D -s IP`, `-r IP`. */
  forgetFlows(ips: readonly Ipv4[]): number;
  /** The same of all addresses of a subnet but these. */
  forgetFlowsBut(kept: readonly Ipv4[], network: Ipv4, mask: Ipv4): number;
  /** The socket's own number, by which a Monitor tells what it caused. */
  port(): number;
  close(): void;
}

export interface TapOptions {
  name: string;
  owner?: number;
  group?: number;
  vnetHdr?: boolean;
  multiQueue?: boolean;
  /**
   * TUNSETOFFLOAD with checksums, TSO and, where the kernel has it, USO: what a virtio guest or a VMM
   * asks for. Default false.
   */
  offload?: boolean;
  /** TUN_EXCL: fail with EBUSY when the device exists. Default false. */
  exclusive?: boolean;
  /** O_NONBLOCK. Default false. */
  nonBlocking?: boolean;
}

export interface BpfMapOptions {
  name: string;
  type: "hash" | "array" | "percpu_array";
  keySize: number;
  valueSize: number;
  maxEntries: number;
  noPrealloc?: boolean;
}

export interface BpfObject {
  fd: number;
  id: number;
}

export interface Addon extends UnixSockets {
  Netlink: new (options?: { receiveTimeoutMs?: number }) => Netlink;
  /** Leaves out what sockets with these ports cause, where the kernel says so; never a neighbour. */
  Monitor: new (
    ownPorts: readonly number[],
  ) => Monitor;
  /** Needs CAP_NET_ADMIN. Throws where the kernel has no nftables. */
  RulesetMonitor: new () => RulesetMonitor;
  /**
   * The bytes `talk` would send, one buffer a message, sequence numbers from 1. For golden-byte
   * tests.
   */
  encode(messages: readonly Message[]): Buffer[];

  /** Opens /dev/net/tun and attaches to (or makes) the TAP. The caller owns `fd`. */
  openTap(options: TapOptions): { fd: number; ifindex: number; name: string };
  /** TUNSETPERSIST. */
  setTapPersistent(fd: number, persistent: boolean): void;
  /** TUNSETOWNER and TUNSETGROUP: who may open the TAP from now on. */
  setTapOwner(fd: number, uid: number): void;
  setTapGroup(fd: number, gid: number): void;
  closeFd(fd: number): void;
  /**
   * What a thread opened and did not close is closed when it ends, however it ends. From now on these
   * descriptors are this thread's; false, with nothing taken, when one of them is gone already.
   */
  takeOver(fds: readonly number[]): boolean;

  /**
   * IFF_* as SIOCGIFFLAGS gives them; undefined when no link has this ifindex. Takes no RTNL: a few
   * microseconds, whatever others do.
   */
  linkFlags(ifindex: number): number | undefined;
  /** CLOCK_BOOTTIME in whole milliseconds. */
  bootMs(): number;

  /** unshare(CLONE_NEWNET) of the calling thread. What it starts later follows it. */
  unshareNetwork(): void;
  /** setns(CLONE_NEWNET) of the calling thread to a namespace file such as /proc/PID/ns/net. */
  enterNetwork(path: string): void;
  /**
   * Copies frames between two open TAPs until one end fails or `stopFd` becomes readable. Blocks
   * its thread.
   */
  wire(fdA: number, fdB: number, stopFd?: number): void;

  bpf: {
    createMap(options: BpfMapOptions): BpfObject;
    /**
     * Loads one of the built-in programs with its maps patched in by name ("leases", "settings",
     * "drops"). ENOENT where the kernel lacks what it calls or reads.
     */
    loadProgram(program: ProgramName, maps: Record<string, number>): BpfObject & { tag: string };
    /** undefined for ENOENT. */
    mapGet(fd: number, key: Uint8Array, valueSize: number): Buffer | undefined;
    mapSet(fd: number, key: Uint8Array, value: Uint8Array): void;
    /** false for ENOENT. */
    mapDelete(fd: number, key: Uint8Array): boolean;
    mapEntries(fd: number, keySize: number, valueSize: number): { key: Buffer; value: Buffer }[];
    /** Needs CAP_SYS_ADMIN (EPERM otherwise). */
    programById(id: number): { fd: number; tag: string; name: string; mapIds: number[] };
    mapById(id: number): {
      fd: number;
      name: string;
      type: number;
      keySize: number;
      valueSize: number;
      maxEntries: number;
    };
    /** How many CPUs a per-CPU element has values for, each rounded up to 8 bytes. */
    possibleCpus(): number;
    /**
     * BPF_PROG_TEST_RUN of a tc program on one frame, with the __sk_buff fields that matter here.
     * Each of `repeat` runs (1 to 10^6) gets the frame as the one before has left it; `durationNs` is
     * their mean.
     */
    testRun(
      fd: number,
      frame: Uint8Array,
      context?: { ifindex?: number; ingressIfindex?: number; repeat?: number },
    ): { action: number; frame: Buffer; tcClassid: number; durationNs: number };
  };
}
