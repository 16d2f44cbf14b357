// What a plan of reconcile is made of.

import type { ForknetError } from "../errors.js";

/** One line of a plan: what is done, to what, why, and how we know that it is ours. */
export interface ReconcileAction {
  /** "free_identity" and "forget_class" change this process's books only. */
  action:
    | "repair"
    | "release"
    | "delete_tap"
    | "delete_lease"
    | "delete_class"
    | "delete_neighbor"
    | "free_identity"
    | "forget_class";
  /** Instance id, TAP, bridge or shaper name, class, address, or ifindex. */
  subject: string;
  /** Why it is done. */
  reason: string;
  /** How it is known to be ours. */
  proof: string;
  /** Why it could not be done. */
  error?: ForknetError;
}

/** Actions that are done or left together. */
export interface Step {
  kind: "restore" | "network" | "repair" | "release" | "deletion" | "books";
  actions: ReconcileAction[];
  run: () => Promise<unknown>;
}

/** Who stays. */
export interface Criteria {
  keep: ReadonlySet<string> | undefined;
  /** On the boot's clock: what came later is too young to go. */
  bornBeforeMs: number;
  /** When a leftover was first seen, by ifindex; on the same clock. */
  seenMs: ReadonlyMap<number, number>;
}
