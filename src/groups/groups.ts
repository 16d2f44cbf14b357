// Groups of guests with a total over their uploads: which there are, their limits, and the inner
// class that a group has on the shaper for as long as one of its guests has a TAP.

import { isDeepStrictEqual } from "node:util";
import { toBitsPerSecond } from "../bandwidth.js";
import { type ForknetError, rollbackError } from "../errors.js";
import { publish } from "../events/events.js";
import type { NetworkFacts } from "../facts.js";
import type { ClassClaim } from "../identity/class-pool.js";
import type { Identities } from "../identity/identities.js";
import type { Message } from "../kernel/messages.js";
import type { Lane } from "../lanes/lane.js";
import type { GroupStore } from "../lease/group-store.js";
import { type GroupLimits, groupRates, type HtbRates } from "../limits.js";
import { type GroupClass, groupMessage, proofMessage, removalMessages } from "../plans/group.js";
import type { MendJob } from "../plans/mend.js";
import type { Guarantees } from "./guarantees.js";

interface Group {
  readonly name: string;
  limits: GroupLimits | null;
  /** Guests with a TAP, or about to have one. */
  members: number;
  /** Of its inner class, while it has members. */
  claim?: ClassClaim;
  /** The class is in the kernel for sure. */
  isReady: boolean;
  /** The class may be in the kernel. */
  wasSent: boolean;
  /** The class on its way into the kernel. */
  making?: Promise<void>;
  /** Changes of limits run one after the other. */
  turn: Promise<unknown>;
  /** How many of them are asked for. */
  changes: number;
}

export class Groups {
  readonly #facts: NetworkFacts;
  readonly #identities: Identities;
  readonly #guarantees: Guarantees;
  readonly #lane: Lane<MendJob, undefined>;
  readonly #store: GroupStore;
  readonly #byName = new Map<string, Group>();
  /** Classes that nobody needs and the kernel would not delete: tried again with the next ones. */
  readonly #refused = new Set<number>();

  constructor(
    facts: NetworkFacts,
    identities: Identities,
    guarantees: Guarantees,
    lane: Lane<MendJob, undefined>,
    store: GroupStore,
  ) {
    this.#facts = facts;
    this.#identities = identities;
    this.#guarantees = guarantees;
    this.#lane = lane;
    this.#store = store;
    for (const [name, limits] of store.all()) {
      this.#make(name).limits = limits;
      guarantees.restoreGroup(name, limits);
    }
  }

  /** The groups that have limits or a guest with a TAP, with the minors of their classes. */
  all(): { name: string; limits: GroupLimits | null; minor: number | undefined }[] {
    const all = [...this.#byName.values()];
    return all.map(({ name, limits, claim }) => ({ name, limits, minor: claim?.minor }));
  }

  /** The changes of limits that are asked for. */
  get underWay(): Promise<unknown>[] {
    return [...this.#byName.values()].map(({ turn }) => turn);
  }

  /** Those whose class should be in the kernel as it is told here. */
  classes(): GroupClass[] {
    return [...this.#byName.values()].flatMap((group) => (group.isReady ? classOf(group) : []));
  }

  /** Whether this is still what the class should be. */
  isCurrent(one: GroupClass): boolean {
    const group = this.#byName.get(one.name);
    return group?.isReady === true && isDeepStrictEqual(classOf(group), [one]);
  }

  /**
   * Counts a guest in that is about to get a TAP; undefined for one without a group. Returns the
   * minor its class has to stand under. Throws EXHAUSTED and changes nothing.
   */
  enter(name: string | undefined): number | undefined {
    if (name === undefined) return undefined;
    const group = this.#byName.get(name) ?? this.#make(name);
    try {
      group.claim ??= this.#identities.claimClass();
    } catch (error) {
      this.#prune(group);
      throw error;
    }
    group.members++;
    return group.claim.minor;
  }

  /**
   * Counts a guest out whose class is free again. With the last one the group's class goes, and
   * those under it; resolves when they have.
   */
  async leave(name: string | undefined): Promise<void> {
    const group = name === undefined ? undefined : this.#byName.get(name);
    if (!group || --group.members > 0) return;
    const { claim, making } = group;
    delete group.claim;
    delete group.making;
    const { wasSent } = group;
    group.isReady = false;
    group.wasSent = false;
    this.#prune(group);
    if (!claim) return;
    if (!wasSent) return this.#identities.releaseClass(claim);
    const minors = this.#identities.takeClasses(claim.minor);
    await making?.catch(() => {});
    await this.remove([...minors, claim.minor]);
  }

  /** Deletes classes that were taken for it, children first. */
  async remove(minors: readonly number[]): Promise<void> {
    const doomed = [...this.#refused, ...minors];
    // Nobody else may delete them beside this: once gone they are another's.
    this.#refused.clear();
    try {
      await this.#send(removalMessages(this.#facts, doomed));
    } catch (error) {
      for (const minor of doomed) this.#refused.add(minor);
      const { bridge, shaper } = this.#facts;
      const failure = { subject: shaper.name, error: error as ForknetError };
      publish("forknet:repair-failed", { bridge: bridge.name, ...failure });
      return;
    }
    for (const minor of doomed) {
      this.#identities.classLost(minor);
      this.#identities.releaseClass({ minor });
    }
  }

  /** Resolves when classes can be put under the group's. Rejects with what the kernel says. */
  async ready(name: string): Promise<void> {
    const group = this.#byName.get(name);
    if (!group || group.isReady) return;
    const making = group.making ?? this.#apply(group);
    group.making = making;
    try {
      await making;
    } finally {
      if (group.making === making) delete group.making;
    }
  }

  /** What a job has to make first; undefined when the group's class is there, or there is no group. */
  missing(name: string | undefined): GroupClass | undefined {
    const group = name === undefined ? undefined : this.#byName.get(name);
    if (!group || group.isReady) return undefined;
    group.wasSent = true;
    return classOf(group)[0];
  }

  /** A job made what was missing. */
  made(name: string): void {
    const group = this.#byName.get(name);
    if (group?.claim) group.isReady = true;
  }

  /**
   * Resolves when the limits hold and are durable. On failure the former ones do. Throws EXHAUSTED.
   */
  setLimits(name: string, limits: GroupLimits | null): Promise<void> {
    const group = this.#byName.get(name) ?? this.#make(name);
    group.changes++;
    const result = group.turn.then(() => this.#change(group, limits));
    group.turn = result.catch(() => {});
    return result.finally(() => {
      group.changes--;
      this.#prune(group);
    });
  }

  /**
   * Takes over a class that a live guest stands under. False when another group has it, or this one
   * another.
   */
  adopt(name: string, minor: number, found: Pick<HtbRates, "rate" | "ceil">): boolean {
    const group = this.#byName.get(name) ?? this.#make(name);
    const isTaken = [...this.#byName.values()].some(
      (other) => other !== group && other.claim?.minor === minor,
    );
    if (isTaken || (group.claim && group.claim.minor !== minor)) return false;
    if (!group.claim) {
      group.claim = { minor, exists: true, flip: 0 };
      group.isReady = true;
      group.wasSent = true;
      this.#compareLimits(group, found);
    }
    return true;
  }

  /** A total that is not on disk any more still holds: the disk may be a new one. */
  #compareLimits(group: Group, { rate, ceil }: Pick<HtbRates, "rate" | "ceil">): void {
    const wanted = groupRates(group.limits);
    if (wanted.rate === rate && wanted.ceil === ceil) return;
    if (!group.limits) {
      group.limits = { rate: toBitsPerSecond(rate), ceil: toBitsPerSecond(ceil) };
      this.#guarantees.restoreGroup(group.name, group.limits);
      this.#store.put(group.name, group.limits).catch(() => {});
    } else {
      this.#apply(group).catch((error: ForknetError) => {
        const { bridge, shaper } = this.#facts;
        publish("forknet:repair-failed", { bridge: bridge.name, subject: shaper.name, error });
      });
    }
  }

  async #change(group: Group, limits: GroupLimits | null): Promise<void> {
    const { name, limits: former } = group;
    if (isDeepStrictEqual(limits, former)) return;
    this.#guarantees.limitGroup(name, limits);
    try {
      await this.#store.put(name, limits);
      group.limits = limits;
      if (group.claim) await this.#apply(group);
    } catch (error) {
      this.#guarantees.restoreGroup(name, former);
      const wasStored = group.limits === limits;
      group.limits = former;
      const isBack = await this.#store.put(name, former).then(
        () => true,
        () => false,
      );
      // A lost answer may mean that the new ones hold.
      if (wasStored && group.claim) await this.#apply(group).catch(() => {});
      // The next open would bring them into force.
      if (wasStored && !isBack)
        throw rollbackError(error as ForknetError, `new limits of group ${name} on disk`);
      throw error;
    }
  }

  async #apply(group: Group): Promise<void> {
    const { claim } = group;
    const classes = classOf(group);
    const sent = this.#send(classes.map((one) => groupMessage(this.#facts, one)));
    // Refused when a class stands under it by now: then that is the proof.
    if (!group.wasSent)
      this.#send(classes.map((one) => proofMessage(this.#facts, one))).catch(() => {});
    group.wasSent = true;
    await sent;
    if (!claim || group.claim !== claim) return;
    this.#identities.classCreated(claim);
    group.isReady = true;
  }

  async #send(messages: readonly Message[]): Promise<void> {
    const { name: device } = this.#facts.shaper;
    if (messages.length > 0) await this.#lane.submit({ device, messages }).done;
  }

  #make(name: string): Group {
    const group: Group = {
      name,
      limits: null,
      members: 0,
      isReady: false,
      wasSent: false,
      turn: Promise.resolve(),
      changes: 0,
    };
    this.#byName.set(name, group);
    return group;
  }

  #prune(group: Group): void {
    if (group.members === 0 && group.changes === 0 && !group.limits)
      this.#byName.delete(group.name);
  }
}

function classOf({ name, limits, claim }: Group): GroupClass[] {
  return claim ? [{ name, minor: claim.minor, limits }] : [];
}
