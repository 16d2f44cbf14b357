// Whether a bridge lets guests' packets pass: settings of the bridge that keep new ports silent, and
// the state of a port that has a VMM.

import type { LinkInfo } from "../kernel/binding.js";
import type { Message } from "../kernel/messages.js";
import type { Obstacle } from "./finding.js";

const STATES = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;
const FORWARDING = STATES.indexOf("forwarding");

/** Settings of the operator's under which a guest is cut off although its TAP is up. */
export function findSilencers({ name, bridge }: LinkInfo): Obstacle[] {
  if (!bridge) return [];
  const { stpState, forwardDelayMs, vlanFiltering, defaultVlan } = bridge;
  const set = `ip link set dev ${name} type bridge`;
  const found: Obstacle[] = [];
  if (stpState !== 0) {
    // Listening, then learning. A port cannot be told to forward: the kernel says EBUSY.
    const silence = (2 * forwardDelayMs) / 1000;
    const text = `bridge ${name} runs STP: nothing of a guest passes for ${silence} s after its VMM has opened the TAP`;
    found.push({ what: "stp", text, mend: `${set} stp_state 0` });
  }
  if (vlanFiltering && defaultVlan === 0) {
    const text = `bridge ${name} filters VLANs and gives new ports none: nothing of a guest passes`;
    found.push({ what: "vlan", text, mend: `${set} vlan_default_pvid 1` });
  }
  return found;
}

/** The state of a port with a VMM behind it that lets nothing pass; undefined for any other. */
export function silenceOf(link: LinkInfo, bridge: LinkInfo): string | undefined {
  // A port without a VMM is "disabled", and so are all ports of a bridge that is down.
  if (!link.running || !bridge.up || !link.port || link.port.state === FORWARDING) return undefined;
  return STATES[link.port.state] ?? `state ${link.port.state}`;
}

/** Lets the port forward at once; none where STP runs, which decides alone. */
export function forwardMessages({ ifindex }: LinkInfo, { bridge }: LinkInfo): Message[] {
  return bridge?.stpState ? [] : [{ op: "port.set", ifindex, state: FORWARDING }];
}
