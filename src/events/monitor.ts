// Notices what others change at this network's kernel objects, and looks at what they changed. The
// kernel's messages wait in a socket that is read a few times a second: one system call when there
// is nothing, no thread, and nothing between a fork and its return.

import { monotonicMs } from "../clock.js";
import { loadAddon } from "../kernel/addon.js";
import { type Change, unpack } from "../kernel/changes.js";
import type { Heard } from "../kernel/listeners.js";
import type { Parts } from "../parts.js";
import { isSteady } from "../reconcile/inspection.js";
import { verify } from "../reconcile/verify.js";
import { Belongings } from "./belongings.js";
import { publish } from "./events.js";

const READ_EVERY_MS = 200;
/** While forks are on their way, a reading waits so long for their end. */
const LONGEST_PAUSE_MS = 600;
/** A tenth of a millisecond of the event loop. */
const DATAGRAMS_PER_TURN = 64;
const JUDGED_PER_TURN = 200;
/** Somebody who goes on and on is looked at this long after the first change, not after the last. */
const LONGEST_DELAY_MS = 400;
/** Looking takes at most one part in so many of the reap lane's time. */
const REST_SHARE = 4;

export class Monitor {
  readonly #parts: Parts;
  readonly #socket;
  readonly #timer: NodeJS.Timeout;
  #nextTurn: NodeJS.Immediate | undefined;
  /** Read and not yet judged: of a link, a neighbour and a MAC on a port only the last. */
  #heard = new Map<string, Change>();
  #suspects = new Set<string>();
  #suspectsSinceMs = 0;
  /** Something was told since the last decision whether to look. */
  #isNews = false;
  #isOverrun = false;
  #looking: Promise<void> | undefined;
  #notBeforeMs = 0;
  #lastReadMs = 0;

  /** Throws when the socket cannot be opened. */
  constructor(parts: Parts) {
    this.#parts = parts;
    this.#socket = new (loadAddon().Monitor)(parts.lanes.ports);
    parts.lanes.onPorts = (ports) => this.#socket.leaveOut(ports);
    this.#timer = setInterval(() => {
      if (!this.#nextTurn && !this.#isInTheWay()) this.#read();
    }, READ_EVERY_MS).unref();
  }

  /** Resolves when nothing is under way. Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    clearImmediate(this.#nextTurn);
    this.#parts.lanes.onPorts = undefined;
    this.#socket.close();
    await this.#looking;
  }

  #isInTheWay(): boolean {
    const { create, shape } = this.#parts.lanes;
    const isBusy = create.depth > 0 || shape.depth > 0;
    return isBusy && monotonicMs() - this.#lastReadMs < LONGEST_PAUSE_MS;
  }

  /** Judges only what was read to the end: half a slot's making looks like damage. */
  #read(): void {
    this.#nextTurn = undefined;
    this.#lastReadMs = monotonicMs();
    const heard = this.#receive();
    for (const change of unpack(heard)) this.#heard.set(keyOf(change), change);
    this.#isOverrun ||= heard.overrun;
    if (heard.more) this.#nextTurn = setImmediate(() => this.#read());
    else this.#judge();
  }

  /** What cannot be read (ENOMEM) is lost like what there was no room for; nobody could catch it. */
  #receive(): Heard {
    try {
      return this.#socket.read(DATAGRAMS_PER_TURN);
    } catch {
      return { numbers: new Float64Array(), texts: [], overrun: true, more: false };
    }
  }

  /** Nothing more is read before all is judged. */
  #judge(belongings = this.#heard.size > 0 ? new Belongings(this.#parts) : undefined): void {
    this.#nextTurn = undefined;
    let left = JUDGED_PER_TURN;
    for (const [key, change] of this.#heard) {
      if (left-- === 0) {
        this.#nextTurn = setImmediate(() => this.#judge(belongings));
        return;
      }
      this.#heard.delete(key);
      const slot = belongings?.openedSlot(change);
      if (slot) this.#parts.pool.opened(slot);
      const subject = slot ? undefined : belongings?.subjectOf(change);
      if (subject !== undefined) this.#suspect(subject, change);
    }
    const isQuiet = !this.#isNews;
    this.#isNews = false;
    const nowMs = monotonicMs();
    const isDue = isQuiet || nowMs - this.#suspectsSinceMs > LONGEST_DELAY_MS;
    if (this.#looking || !isDue || nowMs < this.#notBeforeMs) return;
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
      this.#notBeforeMs = monotonicMs() + (monotonicMs() - nowMs) * REST_SHARE;
    });
  }

  #suspect(subject: string, { object, removed }: Change): void {
    this.#isNews = true;
    if (this.#suspects.size === 0) this.#suspectsSinceMs = monotonicMs();
    this.#suspects.add(subject);
    const bridge = this.#parts.facts.bridge.name;
    publish("forknet:changed-outside", { bridge, subject, object, removed });
  }

  /** Compares what was changed with what it should be. Guests with something under way wait. */
  async #look(): Promise<void> {
    const bridge = this.#parts.facts.bridge.name;
    const isAll = this.#isOverrun;
    const subjects = this.#ready();
    if (!isAll && subjects.size === 0) return;
    if (isAll) publish("forknet:overrun", { bridge });
    this.#isOverrun = false;
    for (const subject of subjects) this.#suspects.delete(subject);
    const [first] = subjects;
    const isOneGuest = !isAll && subjects.size === 1 && this.#parts.registry.get(first as string);
    try {
      const { differences } = await verify(this.#parts, isOneGuest ? first : undefined);
      for (const difference of differences)
        if (isAll || subjects.has(difference.subject))
          publish("forknet:drift", { bridge, ...difference });
    } catch (error) {
      // Released meanwhile: nothing to look at. Anything else is tried again.
      if ((error as { code?: string }).code === "ERR_FORKNET_NOT_FOUND") return;
      this.#isOverrun = isAll;
      for (const subject of subjects) this.#suspects.add(subject);
    }
  }

  #ready(): Set<string> {
    const { registry } = this.#parts;
    const isReady = (subject: string) => {
      const guest = registry.get(subject);
      return !guest || isSteady(guest);
    };
    return new Set([...this.#suspects].filter(isReady));
  }
}

function keyOf(change: Change): string {
  const { object, ifindex } = change;
  switch (object) {
    case "link":
    case "port":
      return `${object} ${ifindex}`;
    case "neighbor":
      return `${object} ${ifindex} ${change.ip}`;
    case "fdb":
      return `${object} ${ifindex} ${change.mac}`;
    case "qdisc":
    case "class":
    case "filter":
      return `${object} ${ifindex} ${change.parent} ${change.handle} ${change.removed}`;
  }
}
