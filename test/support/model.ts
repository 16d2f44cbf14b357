// What a caller may expect of a network, whatever overlaps: a description of its answers that knows
// nothing of src/. A guest whose calls did not overlap is predicted exactly; for the rest, what the
// answers say has to fit the end.

import { isDeepStrictEqual } from "node:util";
import { ForknetError, type Network, type TapOwner } from "../../dist/index.js";
import type { ExpectedLimits } from "./invariants.js";
import { type Identity, limitsOf, type Step } from "./steps.js";

type State = "absent" | "active" | "standby";

interface Known {
  state: State;
  limits: ExpectedLimits;
  /** What is in its memory. */
  guest: Identity;
  owner: TapOwner | undefined;
}

const UNLIMITED: ExpectedLimits = { download: null, upload: null };
const ABSENT: Known = { state: "absent", limits: UNLIMITED, guest: null, owner: undefined };

/** Codes each call may reject with, beside the kernel's refusals and the end of its guest. */
const REFUSALS: Record<Step["call"], readonly string[]> = {
  create: ["ID_EXISTS", "NAME_EXISTS", "ADDRESS_IN_USE", "CONFLICT"],
  recreate: ["NOT_FOUND", "ID_EXISTS", "ADDRESS_IN_USE", "CONFLICT"],
  standby: ["NOT_FOUND"],
  update: ["NOT_FOUND"],
  identify: ["NOT_FOUND"],
  release: [],
  reconcile: [],
};
const ALWAYS = ["KERNEL", "ROLLBACK", "ABORTED"];

/** Watches the calls of one run. */
export class Model {
  /** What is known of a guest; nothing after calls that overlapped, until `learn`. */
  readonly #known = new Map<string, Known>();
  /** Calls under way for each guest. */
  readonly #underWay = new Map<string, number>();
  /** Guests with calls that overlapped since the last `learn`. */
  readonly #blurred = new Set<string>();
  readonly problems: string[] = [];
  rolledBack = false;

  /** Notes a call and its answer. */
  async watch(step: Step, answer: Promise<unknown>): Promise<void> {
    const { id } = step;
    const before = (this.#underWay.get(id) ?? 0) + 1;
    this.#underWay.set(id, before);
    // A reconcile looks at everybody.
    if (before > 1 || step.call === "reconcile") this.#blurred.add(id);
    try {
      await answer;
      this.#succeeded(step);
    } catch (error) {
      this.#failed(step, error);
    } finally {
      this.#underWay.set(id, (this.#underWay.get(id) as number) - 1);
    }
  }

  /** Compares what is known with what the network says; nothing is under way. */
  compare(network: Network): string[] {
    const problems = this.problems.splice(0);
    for (const [id, { state, guest, owner }] of this.#known) {
      if (this.#blurred.has(id)) continue;
      const found = network.getAllocation(id);
      const actual = found?.state ?? "absent";
      if (actual !== state) problems.push(`${id} is ${actual}, and should be ${state}`);
      if (!isDeepStrictEqual(found?.guest ?? null, guest))
        problems.push(`${id} is ${found?.guest?.ip} inside, and should be ${guest?.ip}`);
      if (!isDeepStrictEqual(found?.owner, owner)) {
        const [actual, wanted] = [found?.owner, owner].map((one) => JSON.stringify(one));
        problems.push(`${id} belongs to ${actual}, and should belong to ${wanted}`);
      }
    }
    return problems;
  }

  /** Limits of the guests that are known to be active. */
  limits(): Map<string, ExpectedLimits> {
    const known = [...this.#known].filter(
      ([id, { state }]) => state === "active" && !this.#blurred.has(id),
    );
    return new Map(known.map(([id, { limits }]) => [id, limits]));
  }

  /**
   * Takes over what the network says of guests whose calls overlapped; their limits stay unknown
   * until set anew.
   */
  learn(network: Network): void {
    for (const id of this.#blurred) {
      const state = network.getAllocation(id)?.state;
      if (state === undefined) this.#known.set(id, ABSENT);
      else this.#known.delete(id);
    }
    this.#blurred.clear();
  }

  #succeeded(step: Step): void {
    const { id, call } = step;
    const known = this.#known.get(id);
    const isExact = !this.#blurred.has(id);
    if (call === "create") {
      if (isExact && known && known.state !== "absent")
        this.problems.push(`${id} was created though ${known.state}`);
      const { guest, owner } = step;
      this.#known.set(id, { state: "active", limits: limitsOf(step, UNLIMITED), guest, owner });
    } else if (call === "release") {
      this.#known.set(id, ABSENT);
    } else if (known) {
      const limits = limitsOf(step, known.limits);
      if (call === "standby") this.#known.set(id, { ...known, state: "standby" });
      const { owner = known.owner } = step;
      if (call === "recreate") this.#known.set(id, { ...known, state: "active", limits, owner });
      if (call === "update") this.#known.set(id, { ...known, limits });
      if (call === "identify") this.#known.set(id, { ...known, guest: step.guest });
      if (isExact && known.state === "absent" && call !== "reconcile")
        this.problems.push(`${call} of nobody succeeded`);
    }
  }

  /** A refused call changes nothing, but a refused release has begun. */
  #failed(step: Step, error: unknown): void {
    const { id, call } = step;
    const code =
      error instanceof ForknetError ? error.code.replace("ERR_FORKNET_", "") : String(error);
    if (code === "ROLLBACK") this.rolledBack = true;
    if (![...ALWAYS, ...REFUSALS[call]].includes(code))
      this.problems.push(`${call} of ${id} failed with ${code}: ${error}`);
    if (call === "release" || code === "ROLLBACK") this.#blurred.add(id);
  }
}
