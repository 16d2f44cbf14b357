// What is taken from the pools for one guest or warm slot. Plain data.

import type { Ipv4, Mac } from "../kernel/messages.js";
import type { ClassClaim } from "./class-pool.js";

/** What makes a guest itself on the wire; kept through standby. */
export interface AddressClaim {
  ip: Ipv4;
  mac: Mac;
}

/** What a slot needs beside: given back when the TAP goes. */
export interface PortClaim {
  tapName: string;
  class: ClassClaim;
}
