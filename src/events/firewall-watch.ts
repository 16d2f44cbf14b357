// Looks at the firewall when others have changed nftables' rules, tells what is not as it should be, and
// puts it back without being asked: where rules are missing, guests reach what they must not.

import { monotonicMs } from "../clock.js";
import type { ChangedBy } from "../nat/ruleset.js";
import type { Parts } from "../parts.js";
import type { Difference } from "../plans/finding.js";
import { repairFirewall } from "../reconcile/repair.js";
import { publish } from "./events.js";

const READ_EVERY_MS = 200;
/** At most one look, and one repair, in this time: others may change rules all the time. */
const LOOK_EVERY_MS = 1000;
/** What nobody tells of. */
const UNHEARD_EVERY_MS = 10_000;
/** A repair that was refused is tried again, each time after twice as long. */
const LONGEST_REST_MS = 10_000;

export class FirewallWatch {
  readonly #parts: Parts;
  readonly #timer: NodeJS.Timeout | undefined;
  #isNews = false;
  #by: ChangedBy | undefined;
  #lookedMs = monotonicMs();
  #notBeforeMs = 0;
  /** Repairs that were refused since the last one that was not. */
  #refused = 0;
  #looking: Promise<void> | undefined;
  /** The differences that were told last: nobody hears the same again. */
  #told = "";

  /** Does nothing without NAT. */
  constructor(parts: Parts) {
    this.#parts = parts;
    if (!parts.options.nat) return;
    this.#timer = setInterval(() => this.#turn(), READ_EVERY_MS).unref();
  }

  /** Resolves when nothing is under way, and listens no more. Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    this.#parts.nat.firewall.stop();
  }

  #turn(): void {
    const { firewall } = this.#parts.nat;
    const { isNews, by } = firewall.news();
    this.#isNews ||= isNews;
    this.#by = by ?? this.#by;
    const nowMs = monotonicMs();
    if (this.#looking || nowMs < this.#notBeforeMs) return;
    if (!this.#isNews && nowMs - this.#lookedMs < UNHEARD_EVERY_MS) return;
    this.#lookedMs = nowMs;
    if (!this.#isNews && !firewall.isUnheard) return;
    this.#notBeforeMs = nowMs + LOOK_EVERY_MS;
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  async #look(): Promise<void> {
    const { nat, options } = this.#parts;
    const by = this.#by;
    this.#isNews = false;
    this.#by = undefined;
    const differences = await nat.look();
    this.#tell(differences, by);
    if (differences.length === 0 || !options.nat?.repair) return;
    try {
      await repairFirewall(this.#parts, differences);
      this.#told = "";
      this.#refused = 0;
      this.#count(by);
    } catch {
      // It was told.
      this.#isNews = true;
      const restMs = Math.min(LOOK_EVERY_MS * 2 ** this.#refused++, LONGEST_REST_MS);
      this.#notBeforeMs = monotonicMs() + restMs;
    }
  }

  #tell(differences: readonly Difference[], by: ChangedBy | undefined): void {
    const told = JSON.stringify(differences);
    if (told === this.#told) return;
    this.#told = told;
    const { name: bridge } = this.#parts.facts.bridge;
    for (const difference of differences)
      publish("forknet:drift", { bridge, subject: bridge, ...difference, ...(by && { by }) });
  }

  #count(by: ChangedBy | undefined): void {
    const { facts, nat } = this.#parts;
    const nowMs = monotonicMs();
    if (!nat.contest.repaired(nowMs, by)) return;
    const repairs = nat.contest.repairs(nowMs);
    const last = nat.contest.by;
    publish("forknet:firewall-contested", {
      bridge: facts.bridge.name,
      repairs,
      ...(last && { by: last }),
    });
  }
}
