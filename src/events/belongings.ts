// Whose a changed kernel object is, and whether the change can only have come from outside. Pure
// look-ups: what the kernel says of who caused a change is used up in the addon.

import type { NetworkFacts } from "../facts.js";
import type { Guest } from "../guests/guest.js";
import type { WarmSlot } from "../guests/slot-pool.js";
import { CAPACITY_MINOR, DEFAULT_MINOR } from "../identity/class-pool.js";
import type { Change, LinkState } from "../kernel/changes.js";
import { NUD_NOARP, NUD_PERMANENT } from "../kernel/kernel.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import type { Parts } from "../parts.js";
import { isCondemned } from "../plans/condemned.js";
import { isPortSet } from "../plans/port.js";
import { isSteady } from "../reconcile/inspection.js";

/** A TAP of this network: a guest's, or a warm slot's. */
interface Owner {
  subject: string;
  tapName: string;
  ifindex: number;
  mac: Mac;
  guest?: Guest;
  slot?: WarmSlot;
}

type ChangeOf<Object extends Change["object"]> = Extract<Change, { object: Object }>;

const ROOT = 0xffff_ffff;

export class Belongings {
  readonly #facts: NetworkFacts;
  readonly #byIfindex = new Map<number, Owner>();
  readonly #byMinor = new Map<number, Owner>();
  /** Classes of the tree itself and of groups. */
  readonly #inner = new Set([CAPACITY_MINOR, DEFAULT_MINOR]);
  readonly #byIp = new Map<Ipv4, Owner>();
  readonly #byMac = new Map<Mac, Owner>();

  /** As they are now: guests that have a TAP and are not about to lose it, and slots that wait. */
  constructor({ facts, registry, pool, groups }: Parts) {
    this.#facts = facts;
    for (const { minor } of groups.all()) if (minor !== undefined) this.#inner.add(minor);
    for (const guest of registry.all()) {
      const { id: subject, port, ifindex, lease, state, releasing } = guest;
      if (!port || ifindex === 0 || state !== "active" || releasing) continue;
      const { mac, ip } = lease;
      this.#add({ subject, tapName: port.tapName, ifindex, mac, guest }, port.class.minor, ip);
    }
    for (const slot of pool.slots()) {
      const { ifindex, port, address } = slot;
      const { tapName } = port;
      const { mac, ip } = address;
      this.#add({ subject: tapName, tapName, ifindex, mac, slot }, port.class.minor, ip);
    }
  }

  /** The warm slot that the change tells a process to have opened. */
  openedSlot(change: Change): WarmSlot | undefined {
    const isOpened = change.object === "link" && change.link?.opened;
    return isOpened ? this.#byIfindex.get(change.ifindex)?.slot : undefined;
  }

  /**
   * The instance id, or the bridge's, the shaper's or a slot's name. Undefined for what is not ours
   * and for a link that is as it should be.
   */
  subjectOf(change: Change): string | undefined {
    switch (change.object) {
      case "link":
      case "port":
        return this.#ofLink(change.ifindex, change.link, change.object === "port");
      case "qdisc":
        return this.#ofShaping(change.ifindex, change.parent);
      case "class":
        return this.#ofShaping(change.ifindex, change.handle);
      case "filter":
        return this.#ofShaping(change.ifindex, ROOT);
      case "neighbor":
        return this.#ofNeighbor(change);
      case "fdb":
        return this.#ofForwarding(change);
    }
  }

  /** Whoever set it: an entry that is as it should be is what a slot is made with. */
  #ofNeighbor({ ifindex, ip, mac, state, removed }: ChangeOf<"neighbor">): string | undefined {
    const owner = ifindex === this.#facts.bridge.ifindex ? this.#byIp.get(ip) : undefined;
    const isRight = !removed && mac === owner?.mac && (state & NUD_PERMANENT) !== 0;
    return isRight ? undefined : owner?.subject;
  }

  /** The same for a MAC where it belongs; where it does not, an entry that goes is right. */
  #ofForwarding({ ifindex, mac, state, removed }: ChangeOf<"fdb">): string | undefined {
    const owner = this.#byMac.get(mac);
    const isHome = ifindex === owner?.ifindex;
    const isRight = isHome ? !removed && (state & NUD_NOARP) !== 0 : removed;
    return isRight ? undefined : owner?.subject;
  }

  #add(owner: Owner, minor: number, ip: Ipv4): void {
    this.#byIfindex.set(owner.ifindex, owner);
    this.#byMinor.set(minor, owner);
    this.#byIp.set(ip, owner);
    this.#byMac.set(owner.mac, owner);
  }

  /** `place` is a class's handle, or what a queue hangs on. */
  #ofShaping(ifindex: number, place: number): string | undefined {
    const { shaper } = this.#facts;
    if (ifindex !== shaper.ifindex) return this.#byIfindex.get(ifindex)?.subject;
    const minor = place & 0xffff;
    const isTree = place === ROOT || this.#inner.has(minor);
    return isTree ? shaper.name : this.#byMinor.get(minor)?.subject;
  }

  /** Links do not say who changed them, but what they are like. */
  #ofLink(ifindex: number, link: LinkState | undefined, isPort: boolean): string | undefined {
    const { bridge, shaper, gateway } = this.#facts;
    // A port's own message tells no alias.
    const isNamed = (word: string) => isPort || link?.alias.startsWith(`${ALIAS_PREFIX}/${word} `);
    if (ifindex === bridge.ifindex) {
      const isOurs = !bridge.madeByUs || isNamed("bridge");
      const isRight = isOurs && link?.up && link.name === bridge.name && link.mac === gateway.mac;
      return isRight ? undefined : bridge.name;
    }
    if (ifindex === shaper.ifindex)
      return isNamed("shaper") && link?.up && link.name === shaper.name ? undefined : shaper.name;
    const owner = this.#byIfindex.get(ifindex);
    return owner && !(link && this.#isRight(owner, link, isPort)) ? owner.subject : undefined;
  }

  #isRight({ tapName, guest }: Owner, link: LinkState, isPort: boolean): boolean {
    const facts = this.#facts;
    const { name, up, master, port, group, alias } = link;
    if (name !== tapName || !up || master !== facts.bridge.ifindex) return false;
    const isLeaving = isCondemned(group, facts.bridge.ifindex);
    if (isLeaving || (port && !isPortSet(facts, port))) return false;
    if (isPort && port?.silent) return false;
    // A port's own message tells no alias; a guest under way has not got its own yet. Its start is
    // enough: whoever writes another writes all of it, and the whole takes long to compare.
    return isPort || !guest || !isSteady(guest) || alias.startsWith(`${ALIAS_PREFIX}${guest.id} `);
  }
}
