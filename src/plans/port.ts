// A TAP's place on the bridge: its port, the settings that isolate it, and the entries that make
// learning and asking unnecessary.

import type { NetworkFacts } from "../facts.js";
import type { PortFlags } from "../kernel/binding.js";
import type { Ipv4, Mac, Message } from "../kernel/messages.js";

/** What every port of this network is set to. */
export function portSettings(facts: NetworkFacts): PortFlags {
  const closed = facts.isolated;
  return {
    isolated: closed,
    learning: false,
    unicastFlood: false,
    multicastFlood: !closed,
    broadcastFlood: !closed,
  };
}

/**
 * The host's side of a TAP on a bridge that is somebody else's: higher than any card's, since such a
 * bridge may take the lowest MAC of its ports for its own. On ours the kernel's choice does.
 */
export function hostMac({ bridge }: NetworkFacts, ifindex: number): { mac?: Mac } {
  return bridge.madeByUs ? {} : { mac: 0xfeff * 2 ** 32 + ifindex };
}

/**
 * Puts a TAP on the bridge, in the order that never lets a frame pass unguarded: isolation before
 * UP, UP last. Port settings cannot share a message with the master: they apply to the one that is
 * there already.
 */
export function joinBridge(
  facts: NetworkFacts,
  ifindex: number,
  { ip, mac }: { ip: Ipv4; mac: Mac },
): Message[] {
  const bridge = facts.bridge.ifindex;
  return [
    { op: "link.set", ifindex, master: bridge },
    { op: "port.set", ifindex, ...portSettings(facts) },
    { op: "fdb.add", ifindex, mac },
    { op: "neighbor.set", ifindex: bridge, ip, mac },
    { op: "link.set", ifindex, up: true },
  ];
}

/** True when the port is as portSettings wants it. */
export function isPortSet(facts: NetworkFacts, port: PortFlags | undefined): boolean {
  const wanted = Object.entries(portSettings(facts)) as [keyof PortFlags, boolean][];
  return port !== undefined && wanted.every(([key, value]) => port[key] === value);
}
