// What the kernel tells of its routing, as the addon gives it.

import type { Ipv4 } from "./messages.js";

export interface RouteInfo {
  destination: Ipv4;
  prefixLength: number;
  /** RTA_OIF, 0 for none. */
  ifindex: number;
  gateway: Ipv4;
  /** RTA_PRIORITY: the smallest wins. */
  metric: number;
  table: number;
  /** RTN_UNICAST is 1. */
  type: number;
  /** Ifindexes of the links of a route with several next hops. */
  hops?: number[];
}

/** A policy routing rule, as far as it says which table is asked. */
export interface RuleInfo {
  table: number;
  /** FR_ACT_TO_TBL is 1. */
  action: number;
}
