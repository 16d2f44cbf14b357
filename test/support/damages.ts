// What an operator, another program or a bug may do to a network behind its back, one by one, and
// what verify() calls it.

import type { Allocation } from "../../dist/index.js";
import type { Message } from "../../src/kernel/messages.js";
import { indexOf, ipNumber, macNumber } from "./kernel-view.js";
import { LeaseMap } from "./lease-map.js";
import { BRIDGE, SHAPER } from "./network.js";

const GATEWAY = "10.100.0.1";
const ROOT = 0xffffffff;
const CLSACT = 0xfffffff1;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
const HTB_ROOT = 0x10000;

export interface Damage {
  name: string;
  /** What verify calls it, in order. */
  what: string[];
  messages: (guest: Allocation, other: Allocation) => Message[];
}

const at = (ifindex: number, parent: number) => ({ ifindex, parent, priority: 1 });
const classOf = ({ classId }: Allocation) => HTB_ROOT | Number.parseInt(classId.slice(2), 16);

export const GUEST_DAMAGES: Damage[] = [
  {
    name: "the guard is gone",
    what: ["guard"],
    messages: ({ ifindex }) => [{ op: "filter.delete", ...at(ifindex, INGRESS) }],
  },
  {
    name: "the gate is gone",
    what: ["gate"],
    messages: ({ ifindex }) => [{ op: "filter.delete", ...at(ifindex, EGRESS) }],
  },
  {
    name: "clsact is gone",
    what: ["clsact", "guard", "gate"],
    messages: ({ ifindex }) => [{ op: "qdisc.delete", ifindex, parent: CLSACT }],
  },
  {
    name: "the TBF is gone",
    what: ["tbf"],
    messages: ({ ifindex }) => [{ op: "qdisc.delete", ifindex, parent: ROOT }],
  },
  {
    name: "the TBF has another rate",
    what: ["tbf"],
    messages: ({ ifindex }) => [
      {
        op: "qdisc.tbf",
        verb: "change",
        ifindex,
        handle: HTB_ROOT,
        rate: 125_000_000,
        burstBytes: 2_000_000,
        limitBytes: 9_000_000,
      },
    ],
  },
  {
    name: "another queue stands where the TBF was",
    what: ["tbf"],
    messages: ({ ifindex }) => [
      { op: "qdisc.delete", ifindex, parent: ROOT },
      { op: "qdisc.htb", verb: "add", ifindex, handle: HTB_ROOT, defaultMinor: 0 },
    ],
  },
  {
    name: "the class is gone",
    what: ["class", "leaf"],
    messages: (guest) => [{ op: "class.delete", ifindex: indexOf(SHAPER), handle: classOf(guest) }],
  },
  {
    name: "the class has other rates and its leaf is gone",
    what: ["class", "leaf"],
    messages: (guest) => [
      {
        op: "class.htb",
        verb: "change",
        ifindex: indexOf(SHAPER),
        parent: HTB_ROOT | 1,
        handle: classOf(guest),
        rate: 1_250_000_000,
        ceil: 1_250_000_000,
        burstBytes: 9_000_000,
        cburstBytes: 9_000_000,
        quantumBytes: 60_000,
      },
      { op: "qdisc.delete", ifindex: indexOf(SHAPER), parent: classOf(guest) },
    ],
  },
  {
    name: "the port is open",
    what: ["port"],
    messages: ({ ifindex }) => [
      { op: "port.set", ifindex, isolated: false, learning: true, unicastFlood: true },
    ],
  },
  {
    name: "the TAP is down",
    what: ["up"],
    messages: ({ ifindex }) => [{ op: "link.set", ifindex, up: false }],
  },
  {
    name: "the TAP was taken off the bridge",
    what: ["master", "port", "fdb"],
    messages: ({ ifindex }) => [{ op: "link.set", ifindex, master: 0 }],
  },
  {
    name: "the TAP has another name and another alias",
    what: ["name", "alias"],
    messages: ({ ifindex }) => [
      // Before Linux 6.2 no link that is up takes another name.
      { op: "link.set", ifindex, up: false },
      { op: "link.set", ifindex, name: "mine", alias: "web server 3" },
      { op: "link.set", ifindex, up: true },
    ],
  },
  {
    name: "the forwarding entry is gone",
    what: ["fdb"],
    messages: ({ ifindex, mac }) => [{ op: "fdb.delete", ifindex, mac: macNumber(mac) }],
  },
  {
    name: "the forwarding entry is on another guest's port",
    what: ["fdb"],
    messages: ({ ifindex, mac }, other) => [
      { op: "fdb.delete", ifindex, mac: macNumber(mac) },
      { op: "fdb.add", ifindex: other.ifindex, mac: macNumber(mac) },
    ],
  },
  {
    name: "the neighbour entry is gone",
    what: ["neighbor"],
    messages: ({ ip }) => [{ op: "neighbor.delete", ifindex: indexOf(BRIDGE), ip: ipNumber(ip) }],
  },
  {
    name: "the neighbour entry has another MAC",
    what: ["neighbor"],
    messages: ({ ip }) => [
      { op: "neighbor.set", ifindex: indexOf(BRIDGE), ip: ipNumber(ip), mac: 0x020000000001 },
    ],
  },
  {
    name: "the TAP is in the group that a deletion takes",
    what: ["group"],
    messages: ({ ifindex }) => [
      { op: "link.set", ifindex, group: 0x666b_0000 | (indexOf(BRIDGE) & 0xffff) },
    ],
  },
  {
    name: "the guard is another program of the same name",
    what: ["guard"],
    messages: ({ ifindex }) => [
      LeaseMap.in(SHAPER).otherProgram(ifindex, INGRESS, "forknet-guard"),
    ],
  },
];

/** One of the bridge or the shaper. */
export interface NetworkDamage extends Pick<Damage, "name" | "what"> {
  /** The kernel tells it nobody, or not who listens: only a look finds it. */
  isSilent?: true;
  messages: () => Message[];
}

export const NETWORK_DAMAGES: NetworkDamage[] = [
  {
    name: "the classifier is gone",
    what: ["classify"],
    messages: () => [{ op: "filter.delete", ...at(indexOf(SHAPER), HTB_ROOT) }],
  },
  {
    name: "the default class lets everything out",
    what: ["leaf"],
    messages: () => [{ op: "qdisc.delete", ifindex: indexOf(SHAPER), parent: HTB_ROOT | 2 }],
  },
  {
    name: "the default class is gone",
    what: ["class", "leaf"],
    messages: () => [{ op: "class.delete", ifindex: indexOf(SHAPER), handle: HTB_ROOT | 2 }],
  },
  {
    name: "the shaper has no tree",
    what: ["htb", "class", "class", "leaf", "classify", "class", "leaf", "class", "leaf"],
    messages: () => [{ op: "qdisc.delete", ifindex: indexOf(SHAPER), parent: ROOT }],
  },
  {
    name: "the shaper is down and has another alias",
    what: ["alias", "up"],
    messages: () => [{ op: "link.set", ifindex: indexOf(SHAPER), up: false, alias: "mine" }],
  },
  {
    name: "the shaper has another alias",
    what: ["alias"],
    messages: () => [{ op: "link.set", ifindex: indexOf(SHAPER), alias: "mine" }],
  },
  {
    name: "the bridge is down, which deletes the neighbour entries, and has another MAC",
    what: ["mac", "up", "neighbor", "neighbor"],
    messages: () => [{ op: "link.set", ifindex: indexOf(BRIDGE), up: false, mac: 0x020000000001 }],
  },
  {
    name: "the bridge has another alias",
    what: ["alias"],
    messages: () => [{ op: "link.set", ifindex: indexOf(BRIDGE), alias: "mine" }],
  },
  {
    name: "the bridge, down for a moment, has another name",
    what: ["name", "neighbor", "neighbor"],
    messages: () => {
      const ifindex = indexOf(BRIDGE);
      return [
        // Before Linux 6.2 no link that is up takes another name.
        { op: "link.set", ifindex, up: false },
        { op: "link.set", ifindex, name: "mine", up: true },
      ];
    },
  },
  {
    name: "the bridge has lost its address, with which the neighbour entries go",
    what: ["address", "neighbor", "neighbor"],
    isSilent: true,
    messages: () => [
      { op: "address.delete", ifindex: indexOf(BRIDGE), ip: ipNumber(GATEWAY), prefixLength: 16 },
    ],
  },
  {
    name: "the bridge tells guests of a way past the gateway",
    what: ["sendRedirects"],
    isSilent: true,
    messages: () => [{ op: "link.set", ifindex: indexOf(BRIDGE), sendRedirects: true }],
  },
];
