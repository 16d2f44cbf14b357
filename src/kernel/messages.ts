// The netlink messages forknet sends, as plain objects: what a plan is made of and what the addon
// encodes. Names follow iproute2; each type tells its `ip`, `bridge` or `tc` twin. Pure data, no
// behaviour.

/** An IPv4 address as an unsigned 32-bit number in host byte order: 10.0.0.1 is 0x0a000001. */
export type Ipv4 = number;
/** A MAC address as an unsigned 48-bit number: 02:00:0a:00:00:01 is 0x02000a000001. */
export type Mac = number;
/** A traffic-control handle, major in the upper 16 bits: 1:a0 is 0x000100a0. */
export type TcHandle = number;

/** `ip link add NAME [address MAC] [mtu N] type KIND`. Fails with EEXIST when the name is taken. */
export interface LinkCreate {
  op: "link.create";
  name: string;
  kind: "bridge" | "ifb";
  mac?: Mac;
  mtu?: number;
  txQueueLength?: number;
  alias?: string;
  /** Bridge only. `mcast_snooping 0|1`. */
  multicastSnooping?: boolean;
  /** Bridge only. `vlan_filtering 0|1`. */
  vlanFiltering?: boolean;
  /** `addrgenmode none`: the kernel gives the link no IPv6 link-local address. */
  addressGeneration?: "none";
}

/** `ip link set dev INDEX ...`: only the fields that are there are sent. */
export interface LinkSet {
  op: "link.set";
  ifindex: number;
  /** Ifindex of the bridge; 0 takes the link off its bridge. */
  master?: number;
  up?: boolean;
  group?: number;
  alias?: string;
  name?: string;
  txQueueLength?: number;
  mtu?: number;
  mac?: Mac;
  addressGeneration?: "none";
  /** `sysctl net.ipv4.conf.DEV.forwarding=0|1`, but that LRO is left as it is. */
  forwarding?: boolean;
  /** `sysctl net.ipv4.conf.DEV.send_redirects=0|1`. */
  sendRedirects?: boolean;
}

/** `ip link delete dev INDEX`. */
export interface LinkDelete {
  op: "link.delete";
  ifindex: number;
}

/**
 * `ip link delete group N`: every link in the group. Group 0 is refused before anything is sent.
 */
export interface LinkDeleteGroup {
  op: "link.deleteGroup";
  group: number;
}

/**
 * `bridge link set dev INDEX isolated on learning off flood off mcast_flood off bcast_flood off`.
 */
export interface PortSet {
  op: "port.set";
  ifindex: number;
  isolated?: boolean;
  learning?: boolean;
  unicastFlood?: boolean;
  multicastFlood?: boolean;
  broadcastFlood?: boolean;
  /** `state 3` is forwarding. EBUSY where the kernel runs STP, ENETDOWN without a carrier. */
  state?: number;
}

/**
 * `bridge fdb add MAC dev INDEX master static` (NLM_F_EXCL) and `bridge fdb del MAC dev INDEX
 * master`.
 */
export interface FdbEntry {
  op: "fdb.add" | "fdb.delete";
  ifindex: number;
  mac: Mac;
}

/** `ip neigh replace IP lladdr MAC dev INDEX nud permanent`. */
export interface NeighborSet {
  op: "neighbor.set";
  ifindex: number;
  ip: Ipv4;
  mac: Mac;
}

/** `ip neigh del IP dev INDEX`. */
export interface NeighborDelete {
  op: "neighbor.delete";
  ifindex: number;
  ip: Ipv4;
}

/** `ip ntable change name arp_cache dev DEV mcast_probes N`, which is `sysctl net.ipv4.neigh.DEV.mcast_solicit=N`. */
export interface NeighborTable {
  op: "neighbor.table";
  ifindex: number;
  /** Broadcasts before the kernel gives an unknown neighbour up; 0 for none. */
  multicastProbes: number;
}

/** `ip addr add IP/LEN dev INDEX` (with the subnet's broadcast address) and `ip addr del`. */
export interface Address {
  op: "address.add" | "address.delete";
  ifindex: number;
  ip: Ipv4;
  prefixLength: number;
}

/** `ip route add DESTINATION/LEN via GATEWAY dev INDEX`. */
export interface RouteAdd {
  op: "route.add";
  destination: Ipv4;
  prefixLength: number;
  gateway?: Ipv4;
  ifindex: number;
}

/**
 * How a traffic-control object is written: `tc ... add` (EXCL), `change` (must exist), `replace`
 * (either).
 */
export type TcVerb = "add" | "change" | "replace";

/**
 * `tc qdisc VERB dev INDEX root handle HANDLE tbf rate R burst B limit L`, or `parent PARENT`. Rate
 * in bytes per second.
 */
export interface QdiscTbf {
  op: "qdisc.tbf";
  verb: TcVerb;
  ifindex: number;
  handle: TcHandle;
  parent?: TcHandle;
  rate: number;
  burstBytes: number;
  limitBytes: number;
}

/** `tc qdisc VERB dev INDEX root handle HANDLE htb default MINOR`. */
export interface QdiscHtb {
  op: "qdisc.htb";
  verb: TcVerb;
  ifindex: number;
  handle: TcHandle;
  defaultMinor: number;
}

/** `tc qdisc add dev INDEX clsact`. */
export interface QdiscClsact {
  op: "qdisc.clsact";
  verb: TcVerb;
  ifindex: number;
}

/** `tc qdisc VERB dev INDEX parent PARENT handle HANDLE bfifo limit BYTES`. */
export interface QdiscBfifo {
  op: "qdisc.bfifo";
  verb: TcVerb;
  ifindex: number;
  parent: TcHandle;
  handle: TcHandle;
  limitBytes: number;
}

/** `tc qdisc VERB dev INDEX parent PARENT handle HANDLE fq_codel memory_limit BYTES`. */
export interface QdiscFqCodel {
  op: "qdisc.fq_codel";
  verb: TcVerb;
  ifindex: number;
  parent: TcHandle;
  handle: TcHandle;
  memoryLimitBytes: number;
}

/** `tc qdisc VERB dev INDEX parent PARENT handle HANDLE blackhole`. */
export interface QdiscBlackhole {
  op: "qdisc.blackhole";
  verb: TcVerb;
  ifindex: number;
  parent: TcHandle;
  handle: TcHandle;
}

/**
 * `tc qdisc del dev INDEX parent PARENT [handle HANDLE]`; root is 0xffffffff, clsact 0xfffffff1.
 */
export interface QdiscDelete {
  op: "qdisc.delete";
  ifindex: number;
  parent: TcHandle;
  handle?: TcHandle;
}

/**
 * `tc class VERB dev INDEX parent PARENT classid HANDLE htb rate R ceil C burst B cburst CB quantum
 * Q`. Rates in bytes per second; 2^32 and more are sent in RATE64 and CEIL64 beside a clamped
 * 32-bit field.
 */
export interface ClassHtb {
  op: "class.htb";
  verb: TcVerb;
  ifindex: number;
  parent: TcHandle;
  handle: TcHandle;
  rate: number;
  ceil: number;
  burstBytes: number;
  cburstBytes: number;
  quantumBytes: number;
}

/** `tc class del dev INDEX classid HANDLE`. */
export interface ClassDelete {
  op: "class.delete";
  ifindex: number;
  handle: TcHandle;
}

/**
 * `tc filter VERB dev INDEX parent PARENT protocol all prio PRIORITY handle HANDLE bpf
 * direct-action`. `classid` (TCA_BPF_CLASSID) carries the major that a program's `tc_classid` is
 * joined with. With `redirectTo` it is `action mirred egress redirect dev INDEX` instead of direct-action: that is
 * where everything goes that the program does not answer with 0.
 */
export interface FilterBpf {
  op: "filter.bpf";
  verb: TcVerb;
  ifindex: number;
  parent: TcHandle;
  priority: number;
  handle: number;
  programFd: number;
  name: string;
  classid?: TcHandle;
  redirectTo?: number;
}

/** `tc filter del dev INDEX parent PARENT prio PRIORITY [handle HANDLE] bpf`. */
export interface FilterDelete {
  op: "filter.delete";
  ifindex: number;
  parent: TcHandle;
  priority: number;
  handle?: number;
}

export type Message =
  | LinkCreate
  | LinkSet
  | LinkDelete
  | LinkDeleteGroup
  | PortSet
  | FdbEntry
  | NeighborSet
  | NeighborDelete
  | NeighborTable
  | Address
  | RouteAdd
  | QdiscTbf
  | QdiscHtb
  | QdiscClsact
  | QdiscBfifo
  | QdiscFqCodel
  | QdiscBlackhole
  | QdiscDelete
  | ClassHtb
  | ClassDelete
  | FilterBpf
  | FilterDelete;
