// How a message is named in errors: the rtnetlink type and its object, as an operator would search
// for it.

import { formatIpv4, formatMac } from "../identity/ipv4.js";
import type { Message, TcHandle } from "./messages.js";

/**
 * "RTM_NEWTCLASS 1:a0", "RTM_NEWNEIGH 10.0.0.7", "RTM_DELLINK group 4242". The device is added by
 * the error.
 */
export function describe(message: Message): string {
  switch (message.op) {
    case "link.create":
      return `RTM_NEWLINK ${message.kind} ${message.name}`;
    case "link.set": {
      const { op: _, ifindex: __, ...fields } = message;
      return `RTM_NEWLINK ${Object.keys(fields).join(",")}`;
    }
    case "link.delete":
      return "RTM_DELLINK";
    case "link.deleteGroup":
      return `RTM_DELLINK group ${message.group}`;
    case "port.set":
      return "RTM_SETLINK port flags";
    case "fdb.add":
      return `RTM_NEWNEIGH fdb ${formatMac(message.mac)}`;
    case "fdb.delete":
      return `RTM_DELNEIGH fdb ${formatMac(message.mac)}`;
    case "neighbor.set":
      return `RTM_NEWNEIGH ${formatIpv4(message.ip)}`;
    case "neighbor.delete":
      return `RTM_DELNEIGH ${formatIpv4(message.ip)}`;
    case "neighbor.table":
      return "RTM_SETNEIGHTBL mcast_probes";
    case "address.add":
      return `RTM_NEWADDR ${formatIpv4(message.ip)}/${message.prefixLength}`;
    case "address.delete":
      return `RTM_DELADDR ${formatIpv4(message.ip)}/${message.prefixLength}`;
    case "route.add":
      return `RTM_NEWROUTE ${formatIpv4(message.destination)}/${message.prefixLength}`;
    case "qdisc.delete":
      return `RTM_DELQDISC parent ${formatHandle(message.parent)}`;
    case "class.htb":
      return `RTM_NEWTCLASS ${formatHandle(message.handle)}`;
    case "class.delete":
      return `RTM_DELTCLASS ${formatHandle(message.handle)}`;
    case "filter.bpf":
      return `RTM_NEWTFILTER ${message.name} at ${formatHandle(message.parent)}`;
    case "filter.delete":
      return `RTM_DELTFILTER at ${formatHandle(message.parent)}`;
    case "qdisc.tbf":
    case "qdisc.htb":
    case "qdisc.clsact":
    case "qdisc.bfifo":
    case "qdisc.fq_codel":
    case "qdisc.blackhole":
      return `RTM_NEWQDISC ${message.op.slice("qdisc.".length)}`;
  }
}

/** 0x000100a0 is "1:a0", as tc prints it. */
export function formatHandle(handle: TcHandle): string {
  return `${(handle >>> 16).toString(16)}:${(handle & 0xffff).toString(16)}`;
}
