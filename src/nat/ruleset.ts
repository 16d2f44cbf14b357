// Hears who changes nftables' rules beside the network itself. iptables-legacy tells nobody.

import { loadAddon } from "../kernel/addon.js";
import type { RulesetMonitor } from "../kernel/listeners.js";

/** A process that changed the firewall's rules, by what it calls itself. */
export interface ChangedBy {
  /** As the first pid namespace numbers it; it may have ended. */
  pid: number;
  /** At most 15 bytes. */
  name: string;
}

export interface News {
  /** Somebody else changed rules. */
  isNews: boolean;
  /** The last one who did, where that can be told. */
  by: ChangedBy | undefined;
}

export class Ruleset {
  readonly #monitor: RulesetMonitor | undefined;
  #news: News = { isNews: false, by: undefined };

  constructor() {
    try {
      this.#monitor = new (loadAddon().RulesetMonitor)();
    } catch {
      this.#monitor = undefined;
    }
  }

  /** Nothing is heard: rules have to be looked at from time to time. */
  get isDeaf(): boolean {
    return this.#monitor === undefined;
  }

  /** What happened since the last call. */
  take(): News {
    this.#note(this.#read());
    const news = this.#news;
    this.#news = { isNews: false, by: undefined };
    return news;
  }

  /** Runs a change of the network's own, which resolves with how many transactions it made: no news. */
  async leaveOut(change: () => Promise<number>): Promise<void> {
    this.#note(this.#read());
    let made = 0;
    try {
      made = await change();
    } finally {
      const heard = this.#read();
      const isOwn = !heard.overrun && heard.generations.length === made;
      // Which of them were others' cannot be told: the ids of processes may be those of a container.
      if (!isOwn) this.#note({ ...heard, generations: [], overrun: true });
    }
  }

  close(): void {
    this.#monitor?.close();
  }

  #read(): ReturnType<RulesetMonitor["read"]> {
    try {
      return this.#monitor?.read() ?? { generations: [], overrun: false };
    } catch {
      // What cannot be read (ENOMEM) is lost like what there was no room for.
      return { generations: [], overrun: true };
    }
  }

  #note({ generations, overrun }: ReturnType<RulesetMonitor["read"]>): void {
    const last = generations.at(-1);
    if (overrun || last) this.#news.isNews = true;
    if (last) this.#news.by = { pid: last.pid, name: last.process };
  }
}
