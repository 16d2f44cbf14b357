// What the kernel tells of a link, as the addon gives it.

import type { Mac } from "./messages.js";

/** The settings of a bridge's port that decide where frames go. */
export interface PortFlags {
  isolated: boolean;
  learning: boolean;
  unicastFlood: boolean;
  multicastFlood: boolean;
  broadcastFlood: boolean;
}

export interface PortInfo extends PortFlags {
  /** BR_STATE_*: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking. */
  state: number;
}

export interface BridgeInfo {
  multicastSnooping: boolean;
  vlanFiltering: boolean;
  /** 0: off; 1: the kernel's; 2: a daemon's. */
  stpState: number;
  forwardDelayMs: number;
  /** The VLAN of a new port's untagged frames, 0 for none. Absent in kernels that do not filter. */
  defaultVlan?: number;
}

export interface LinkInfo {
  ifindex: number;
  name: string;
  /** IFLA_INFO_KIND: "tun", "bridge", "ifb", "veth", ... or "" (lo, physical). */
  kind: string;
  /** Ifindex of the bridge, 0 for none. */
  master: number;
  /** IFF_UP. */
  up: boolean;
  /** IFF_LOWER_UP: for a TAP, somebody has it open. */
  lowerUp: boolean;
  /** IFF_RUNNING: up and with a carrier, and bridges have been told of it. */
  running: boolean;
  mac: Mac;
  mtu: number;
  group: number;
  alias: string;
  txQueueLength: number;
  /**
   * IFLA_CARRIER_UP_COUNT: how often it got a carrier. Of a TAP: how often it was opened when nobody
   * had it, the first time not counted.
   */
  carrierUps: number;
  /** IPv4: what comes in here may be sent on. */
  forwarding: boolean;
  /** IPv4. */
  sendRedirects: boolean;
  /** Present on a bridge's port. */
  port?: PortInfo;
  /** Present on a bridge. */
  bridge?: BridgeInfo;
  /** Present on a TUN/TAP. owner and group are absent when unset. */
  tun?: {
    tap: boolean;
    persistent: boolean;
    vnetHdr: boolean;
    multiQueue: boolean;
    owner?: number;
    group?: number;
    /** With multiQueue: those that processes have open, disabled ones included. */
    queues?: number;
  };
}
