// The bridge itself: whether the name is a bridge's, how many ports it has left, what it is set to.

import { BRIDGE_PORTS } from "../errors.js";
import type { LinkInfo, Netlink } from "../kernel/binding.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { findSilencers } from "../plans/forwarding.js";
import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

/** Fewer free ports than this are worth a warning: one burst of forks takes them. */
const FEW_PORTS = 100;

const exists = about("bridge.exists", "the TAPs of the guests are its ports");
const ports = about("bridge.ports", `a bridge has ${BRIDGE_PORTS} ports, one for each guest`);
const snooping = about(
  "bridge.multicast-snooping",
  "the kernel tells every port of each one that comes up: 435 instead of 133 us with 900 ports",
);

const silent = {
  stp: about(
    "bridge.stp",
    "STP keeps every new port silent at first, and forknet cannot tell it not to",
  ),
  vlan: about("bridge.vlan", "guests' frames are untagged, and a port without a VLAN drops them"),
};

export function checkBridge({ netlink, bridgeName, bridge }: Scene): Finding[] {
  const link = netlink.link({ name: bridgeName });
  if (!link) return [exists.ok(`${bridgeName} is not there; openNetwork makes it`)];
  if (!bridge) return [notABridge(link)];
  const owner = bridge.alias.startsWith(ALIAS_PREFIX) ? "forknet made it" : "it is not forknet's";
  const switchOff = `ip link set dev ${quoted(bridgeName)} type bridge mcast_snooping 0`;
  return [
    exists.ok(`${bridgeName} is a bridge; ${owner}`),
    headRoom(netlink, bridge),
    bridge.bridge?.multicastSnooping
      ? snooping.warning(`multicast snooping is on at ${bridgeName}`, switchOff)
      : snooping.ok(`multicast snooping is off at ${bridgeName}`),
    ...checkSilence(bridge),
  ];
}

function checkSilence(bridge: LinkInfo): Finding[] {
  const found = findSilencers(bridge);
  const judged = (what: keyof typeof silent, ok: string) => {
    const one = found.find((other) => other.what === what);
    return one ? silent[what].problem(one.text, one.mend) : silent[what].ok(ok);
  };
  return [
    judged("stp", `STP is off at ${bridge.name}`),
    judged("vlan", `${bridge.name} keeps no port out of its VLANs`),
  ];
}

function notABridge({ name, kind }: LinkInfo): Finding {
  return exists.problem(
    `${name} is not a bridge (${kind || "a plain interface"})`,
    `ip -d link show dev ${quoted(name)}   # and open the network on a bridge of another name`,
  );
}

/** A warm slot has its port already, and a guest that takes it needs no other. */
function headRoom(netlink: Netlink, bridge: LinkInfo): Finding {
  const members = netlink.links({ master: bridge.ifindex });
  const count = (start: string) => members.filter(({ alias }) => alias.startsWith(start)).length;
  const slots = count(`${ALIAS_PREFIX}/slot `);
  const ours = count(ALIAS_PREFIX);
  const foreign = members.length - ours;
  const free = BRIDGE_PORTS - members.length;
  const text =
    `${members.length} of ${BRIDGE_PORTS} ports used: ` +
    `${ours - slots} guests, ${slots} warm slots, ${foreign} not forknet's`;
  if (free + slots >= FEW_PORTS) return ports.ok(text);
  const mend =
    foreign > 0
      ? `bridge link show master ${quoted(bridge.name)}   # and take off what is nobody's: ip link set dev NAME nomaster`
      : `forknet release ID   # or open a second network on another bridge`;
  return free + slots > 0 ? ports.warning(text, mend) : ports.problem(text, mend);
}
