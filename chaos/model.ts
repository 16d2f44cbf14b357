// What the journal allows: for every guest what was acknowledged, and what calls under way at the driver's death may
// or may not have done. Pure: the kernel is compared elsewhere (expectation.ts).

import { isDeepStrictEqual } from "node:util";
import type { GuestIdentity } from "../dist/index.js";
import type { Entry, GuestLimits, PlainAllocation } from "./life.js";

export type State =
  | { kind: "absent" }
  /** `inner`: the identity in its memory; null where that is its own. */
  | { kind: "standby" | "active"; limits: GuestLimits; inner: GuestIdentity | null };

/** A guest as a settled network shows it. */
export interface Found {
  allocation: PlainAllocation;
  limits: GuestLimits;
}

type Ask = Extract<Entry, { event: "ask" }>;
type Pending = Ask & { wasOvertaken: boolean };

/** Limits that may have been in force, from when to when. */
export interface Spell {
  limits: GuestLimits;
  fromMs: number;
  /** Infinity while nothing newer was acknowledged. */
  untilMs: number;
}

interface Known {
  /** What it may be, but for what is pending. */
  states: State[];
  /** Calls of the present life that have no answer. */
  pending: Pending[];
  /** As of the last acknowledgement or check. */
  allocation?: PlainAllocation;
  /** Whether the allocation's name and addresses, and its TAP, are surely the present ones. */
  isSame: boolean;
  isSamePort: boolean;
  spells: Spell[];
}

const ABSENT: State = { kind: "absent" };
const IDENTITY = ["instanceName", "ip", "mac"] as const;
const PORT = ["tap", "ifindex", "classId"] as const;
/** What a call may be told that another call of its guest overtook. */
const OVERTAKEN = ["ERR_FORKNET_ABORTED", "ERR_FORKNET_NOT_FOUND", "ERR_FORKNET_ID_EXISTS"];

/** Calls that a worker's death refuses, with nothing left of them: all others are repeated. */
const MAKING: readonly string[] = ["create", "recreate"];

export class Model {
  readonly #guests = new Map<string, Known>();
  readonly #problems: string[] = [];

  /** Takes in a line of the journal. */
  hear(entry: Entry): void {
    if (entry.event === "opened") for (const known of this.#guests.values()) died(known);
    else if (entry.event === "ask") this.#asked(entry);
    else if (entry.event === "ack") this.#acknowledged(entry);
    else if (entry.event === "refusal") this.#refused(entry);
  }

  /** What the journal itself shows to be wrong, each told once. */
  takeProblems(): string[] {
    return this.#problems.splice(0);
  }

  /** Compares a settled network with what may be. */
  compare(found: readonly Found[]): string[] {
    const byId = new Map(found.map((one) => [one.allocation.instanceId, one]));
    const strangers = [...byId.keys()].filter((id) => !this.#guests.has(id));
    return [
      ...strangers.map((id) => `nobody asked for ${id}`),
      ...[...this.#guests].flatMap(([id, known]) => compareGuest(id, known, byId.get(id))),
    ];
  }

  /** Takes over what was found: from here on it is certain. */
  settle(found: readonly Found[], atMs: number): void {
    const byId = new Map(found.map((one) => [one.allocation.instanceId, one]));
    for (const [id, known] of this.#guests) {
      const one = byId.get(id);
      known.pending = [];
      known.states = [one ? stateOf(one) : ABSENT];
      known.isSame = known.isSamePort = true;
      if (one) known.allocation = one.allocation;
      else delete known.allocation;
      const inForce = one?.limits;
      for (const spell of known.spells)
        if (!inForce || !isDeepStrictEqual(spell.limits, inForce))
          spell.untilMs = Math.min(spell.untilMs, atMs);
    }
  }

  /** Every limit that a guest may have had. */
  spellsOf(id: string): readonly Spell[] {
    return this.#guests.get(id)?.spells ?? [];
  }

  /** Forgets what ended before; the meter has judged it. */
  forgetBefore(atMs: number): void {
    for (const known of this.#guests.values())
      known.spells = known.spells.filter(({ untilMs }) => untilMs >= atMs);
  }

  /** Guests whose life was acknowledged and whose end nobody asked for. */
  liveGuests(): PlainAllocation[] {
    return [...this.#guests.values()].flatMap((known) => {
      const isLive =
        known.isSamePort &&
        known.states.every(({ kind }) => kind === "active") &&
        !known.pending.some(isEnding);
      return isLive && known.allocation ? [known.allocation] : [];
    });
  }

  /** True when the TAP belongs to a guest that is to keep it. */
  mustLive(id: string, ifindex: number): boolean {
    return this.liveGuests().some((one) => one.instanceId === id && one.ifindex === ifindex);
  }

  #known(id: string): Known {
    const known = this.#guests.get(id);
    if (known) return known;
    const sure = { isSame: true, isSamePort: true };
    const made: Known = { states: [ABSENT], pending: [], spells: [], ...sure };
    this.#guests.set(id, made);
    return made;
  }

  #asked(ask: Ask): void {
    const known = this.#known(ask.id);
    const wasOvertaken = known.pending.length > 0;
    for (const other of known.pending) other.wasOvertaken = true;
    known.pending.push({ ...ask, wasOvertaken });
    const limits = ask.limits;
    if (limits) known.spells.push({ limits, fromMs: ask.atMs, untilMs: Number.POSITIVE_INFINITY });
  }

  #acknowledged({ id, number, allocation, atMs }: Extract<Entry, { event: "ack" }>): void {
    const known = this.#known(id);
    const ask = known.pending.find((one) => one.number === number);
    // A call that a release overtook, acknowledged after it: the release is the last word.
    if (!ask) return;
    const after = known.states.flatMap((state) => applied(ask, state) ?? []);
    if (after.length === 0)
      this.#problems.push(`${ask.call} of ${id} succeeded, though it was ${tellAll(known.states)}`);
    known.states = after.length === 0 ? [ABSENT] : distinct(after);
    // What was asked before a release is over when the release is.
    const isOver = (one: Pending) =>
      one.number === number || (ask.call === "release" && one.number < number);
    known.pending = known.pending.filter((one) => !isOver(one));
    if (allocation) known.allocation = allocation;
    known.isSame = known.isSamePort = true;
    if (!ask.limits) return;
    for (const spell of known.spells)
      if (spell.fromMs < ask.atMs) spell.untilMs = Math.min(spell.untilMs, atMs);
  }

  #refused({ id, number, call, code, message, atMs }: Extract<Entry, { event: "refusal" }>): void {
    const known = this.#known(id);
    const ask = known.pending.find((one) => one.number === number);
    known.pending = known.pending.filter((one) => one !== ask);
    // Gone from the list already: a release overtook it.
    const isExpected =
      (OVERTAKEN.includes(code) && (ask?.wasOvertaken ?? true)) ||
      (MAKING.includes(call) && code === "ERR_FORKNET_WORKER");
    if (!isExpected) this.#problems.push(`${call} of ${id} was refused: ${message} (${code})`);
    for (const spell of known.spells)
      if (ask && spell.fromMs === ask.atMs) spell.untilMs = Math.min(spell.untilMs, atMs);
  }
}

function isEnding({ call }: Pending): boolean {
  return call === "release" || call === "standby";
}

function stateOf({ allocation, limits }: Found): State {
  const kind = allocation.state === "standby" ? "standby" : "active";
  return { kind, limits, inner: allocation.guest ?? null };
}

/** The state after the call; undefined where the call does nothing. */
function applied({ call, limits, guest }: Ask, state: State): State | undefined {
  if (call === "release") return ABSENT;
  const inner = guest ?? null;
  if (call === "create")
    return state.kind === "absent" && limits ? { kind: "active", limits, inner } : undefined;
  if (state.kind === "absent") return undefined;
  if (call === "identify") return state.kind === "active" ? { ...state, inner } : undefined;
  const wished = limits ?? state.limits;
  if (call === "update") return { ...state, limits: wished };
  if (call === "standby") return { ...state, kind: "standby" };
  return { ...state, kind: "active", limits: wished };
}

/** Everything that may be after calls of which each was done or not. */
function possible({ states, pending }: Known): State[] {
  let all = states;
  for (const ask of pending) all = [...all, ...all.flatMap((one) => applied(ask, one) ?? [])];
  return distinct(all);
}

/** The driver is dead: nobody knows which of the calls under way were done. */
function died(known: Known): void {
  known.states = possible(known);
  const calls = known.pending.map(({ call }) => call);
  // What was not ended is as it was; what was made anew has an identity that nobody was told.
  if (calls.includes("create")) known.isSame = false;
  if (calls.includes("create") || calls.includes("recreate")) known.isSamePort = false;
  known.pending = [];
}

function compareGuest(id: string, known: Known, found: Found | undefined): string[] {
  const actual = found ? stateOf(found) : ABSENT;
  const may = possible(known);
  if (!may.some((state) => isDeepStrictEqual(state, actual)))
    return [`${id} is ${tell(actual)}, and may be ${tellAll(may)}`];
  const { allocation: was, states, isSame, isSamePort } = known;
  if (!found || !was || !isSame || states.every(({ kind }) => kind === "absent")) return [];
  const { allocation } = found;
  // Only a restore gives another TAP, and in standby there is none.
  const keys = isSamePort && actual.kind === "active" ? [...IDENTITY, ...PORT] : IDENTITY;
  return keys
    .filter((key) => allocation[key] !== was[key])
    .map((key) => `${id} has ${key} ${allocation[key]}, not ${was[key]}`);
}

function distinct(states: readonly State[]): State[] {
  return states.filter(
    (state, i) => states.findIndex((other) => isDeepStrictEqual(other, state)) === i,
  );
}

function tell(state: State): string {
  if (state.kind === "absent") return state.kind;
  const inside = state.inner ? ` as ${state.inner.ip}` : "";
  return `${state.kind} ${JSON.stringify(state.limits)}${inside}`;
}

function tellAll(states: readonly State[]): string {
  return states.map(tell).join(" or ");
}
