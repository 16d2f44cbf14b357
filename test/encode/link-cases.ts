// The messages about links, ports, neighbours, addresses and routes.
import type { Message } from "../../src/kernel/messages.js";
import type { Case } from "./cases.js";

const BR0 = 10;
const IFB1 = 30;
const IFB2 = 40;
const MAC = 0x02000a000007;
const deletedState = {
  state: "the kernel reads no state when it deletes; iproute2 sends its default",
};
const fdbState = {
  state: "NUD_NOARP alone is static; bridge adds NUD_REACHABLE, which the kernel then ignores",
};

/** What iproute2 has no command for: settings of IPv4 that it leaves to sysctl(8). */
export const settingCases: { message: Message; sets: Record<string, string> }[] = [
  {
    message: { op: "link.set", ifindex: BR0, forwarding: true },
    sets: { "IFLA_AF_SPEC/AF_INET/IFLA_INET_CONF/forwarding": "01000000" },
  },
  {
    message: { op: "link.set", ifindex: BR0, forwarding: false, sendRedirects: true },
    sets: {
      "IFLA_AF_SPEC/AF_INET/IFLA_INET_CONF/forwarding": "00000000",
      "IFLA_AF_SPEC/AF_INET/IFLA_INET_CONF/send_redirects": "01000000",
    },
  },
  {
    message: { op: "link.set", ifindex: BR0, sendRedirects: false, addressGeneration: "none" },
    sets: {
      "IFLA_AF_SPEC/AF_INET/IFLA_INET_CONF/send_redirects": "00000000",
      "IFLA_AF_SPEC/AF_INET6/IFLA_INET6_ADDR_GEN_MODE": "01",
    },
  },
];

export const linkCases: Case[] = [
  {
    golden: "link/create-bridge",
    message: {
      op: "link.create",
      name: "br7",
      kind: "bridge",
      mac: 0x02000a000001,
      mtu: 1400,
      txQueueLength: 500,
      multicastSnooping: false,
      vlanFiltering: false,
    },
  },
  {
    golden: "link/create-bridge-plain",
    message: { op: "link.create", name: "br8", kind: "bridge" },
  },
  {
    golden: "link/create-ifb",
    message: { op: "link.create", name: "ifb7", kind: "ifb", txQueueLength: 77 },
  },
  { golden: "link/set-master", message: { op: "link.set", ifindex: IFB2, master: BR0 } },
  { golden: "link/set-nomaster", message: { op: "link.set", ifindex: IFB2, master: 0 } },
  { golden: "link/set-up", message: { op: "link.set", ifindex: IFB2, up: true } },
  { golden: "link/set-down", message: { op: "link.set", ifindex: IFB2, up: false } },
  { golden: "link/set-group", message: { op: "link.set", ifindex: IFB2, group: 4242 } },
  { golden: "link/set-alias", message: { op: "link.set", ifindex: IFB2, alias: "forknet vm-1" } },
  { golden: "link/clear-alias", message: { op: "link.set", ifindex: IFB2, alias: "" } },
  { golden: "link/set-txqueuelen", message: { op: "link.set", ifindex: IFB2, txQueueLength: 500 } },
  { golden: "link/set-mtu", message: { op: "link.set", ifindex: IFB2, mtu: 1400 } },
  { golden: "link/set-mac", message: { op: "link.set", ifindex: IFB2, mac: MAC } },
  {
    golden: "link/set-addrgenmode",
    message: { op: "link.set", ifindex: IFB2, addressGeneration: "none" },
  },
  { golden: "link/set-name", message: { op: "link.set", ifindex: IFB2, name: "ifb9" } },
  { golden: "link/delete", message: { op: "link.delete", ifindex: IFB2 } },
  { golden: "link/delete-group", message: { op: "link.deleteGroup", group: 4242 } },
  {
    golden: "port/isolate",
    message: {
      op: "port.set",
      ifindex: IFB1,
      isolated: true,
      learning: false,
      unicastFlood: false,
      multicastFlood: false,
      broadcastFlood: false,
    },
  },
  {
    golden: "port/release",
    message: { op: "port.set", ifindex: IFB1, isolated: false, learning: true },
  },
  { golden: "port/forward", message: { op: "port.set", ifindex: IFB1, state: 3 } },
  {
    golden: "neighbor/fdb-add",
    message: { op: "fdb.add", ifindex: IFB1, mac: MAC },
    differs: fdbState,
  },
  {
    golden: "neighbor/fdb-delete",
    message: { op: "fdb.delete", ifindex: IFB1, mac: MAC },
    differs: deletedState,
  },
  {
    golden: "neighbor/set",
    message: { op: "neighbor.set", ifindex: BR0, ip: 0x0a000007, mac: MAC },
  },
  {
    golden: "neighbor/delete",
    message: { op: "neighbor.delete", ifindex: BR0, ip: 0x0a000007 },
    differs: deletedState,
  },
  {
    golden: "neighbor/table",
    message: { op: "neighbor.table", ifindex: BR0, multicastProbes: 0 },
    differs: { nlmsg_flags: "ip adds NLM_F_REPLACE, which the kernel does not look at here" },
  },
  {
    golden: "address/add",
    message: { op: "address.add", ifindex: BR0, ip: 0x0a000001, prefixLength: 24 },
  },
  {
    golden: "address/add-30",
    message: { op: "address.add", ifindex: BR0, ip: 0x0a090001, prefixLength: 30 },
  },
  {
    golden: "address/add-31",
    message: { op: "address.add", ifindex: BR0, ip: 0x0a010000, prefixLength: 31 },
  },
  {
    golden: "address/delete",
    message: { op: "address.delete", ifindex: BR0, ip: 0x0a000001, prefixLength: 24 },
  },
  {
    golden: "route/add-gateway",
    message: {
      op: "route.add",
      destination: 0x0a080000,
      prefixLength: 13,
      gateway: 0x0a000002,
      ifindex: BR0,
    },
  },
  {
    golden: "route/add-link",
    message: { op: "route.add", destination: 0x0a070000, prefixLength: 16, ifindex: BR0 },
  },
  {
    golden: "route/add-default",
    message: {
      op: "route.add",
      destination: 0,
      prefixLength: 0,
      gateway: 0x0a000002,
      ifindex: BR0,
    },
  },
];
