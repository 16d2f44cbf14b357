// What a Monitor heard, unpacked: one change of a link, a port, a queue, a class, a filter, a
// neighbour or a forwarding entry.

import type { LinkInfo, PortFlags } from "./binding.js";
import type { Heard } from "./listeners.js";
import type { Ipv4, Mac, TcHandle } from "./messages.js";

/** What a link is like after a change. */
export type LinkState = Pick<LinkInfo, "name" | "up" | "master" | "mac" | "group" | "alias"> & {
  /**
   * `silent`: it has a carrier and lets nothing pass. Only a port's own message tells it: the link's
   * comes before the bridge has seen the carrier.
   */
  port?: PortFlags & { silent: boolean };
  /** Of a TAP: it was opened again after who made it closed it. A port's own message does not tell it. */
  opened: boolean;
};

/** What the kernel tells changes of; "port" is a link's place on a bridge, "fdb" where a MAC is. */
export type ChangedObject = "link" | "port" | "qdisc" | "class" | "filter" | "neighbor" | "fdb";

/** In the order of ChangedObject in native/change.h. */
const OBJECTS = [
  "link",
  "port",
  "qdisc",
  "class",
  "filter",
  "neighbor",
  "fdb",
] as const satisfies readonly ChangedObject[];

/** A change the kernel told of; `removed`: the object is gone. */
export type Change = { ifindex: number; removed: boolean } & (
  | {
      /** A port's tells only name, up, master and port. */
      object: "link" | "port";
      /** As it is now; undefined when it is gone. */
      link?: LinkState;
    }
  | { object: "qdisc" | "class" | "filter"; handle: TcHandle; parent: TcHandle }
  /** NUD_*; one that failed, or is gone, has no MAC. */
  | { object: "neighbor"; ip: Ipv4; mac: Mac; state: number }
  | { object: "fdb"; mac: Mac; state: number }
);

const NUMBERS_PER_CHANGE = 7;

export function unpack({ numbers, texts }: Heard): Change[] {
  const changes: Change[] = [];
  let text = 0;
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_CHANGE) {
    const number = (i: number) => numbers[at + i] as number;
    const object = OBJECTS[number(0)] as ChangedObject;
    const common = { ifindex: number(2), removed: number(1) === 1 };
    const [first, second, bits] = [number(3), number(4), number(5)];
    if (object === "neighbor")
      changes.push({ object, ...common, ip: first, mac: second, state: bits });
    else if (object === "fdb") changes.push({ object, ...common, mac: second, state: bits });
    else if (object !== "link" && object !== "port")
      changes.push({ object, ...common, handle: first, parent: second });
    else if (common.removed) changes.push({ object, ...common });
    else {
      const [name, alias] = [texts[text++] as string, texts[text++] as string];
      const [up, opened] = [(bits & 1) !== 0, (bits & (1 << 8)) !== 0];
      const link = { name, alias, up, opened, master: first, mac: second, group: number(6) };
      changes.push({ object, ...common, link: { ...link, ...portOf(bits) } });
    }
  }
  return changes;
}

function portOf(bits: number): Pick<LinkState, "port"> {
  if ((bits & 2) === 0) return {};
  const has = (bit: number) => (bits & (1 << bit)) !== 0;
  const [isolated, learning, unicastFlood] = [has(2), has(3), has(4)];
  const [multicastFlood, broadcastFlood, silent] = [has(5), has(6), has(7)];
  return {
    port: { isolated, learning, unicastFlood, multicastFlood, broadcastFlood, silent },
  };
}
