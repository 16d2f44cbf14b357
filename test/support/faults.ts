// Makes chosen kernel operations of a network's workers fail. Make it before the network is opened,
// and open with `{ kernelModule: faults.module }`; the operations are counted from the last call of
// a method here. What the main thread writes is refused by refuseLease.

import { setEnvironmentData } from "node:worker_threads";
import { onTestFinished, vi } from "vitest";
import type { Network, NetworkOptions } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { loadAddon } from "../../src/kernel/addon.js";
import {
  CONTROL_WORDS,
  ENVIRONMENT_KEY,
  JOURNAL_BYTES,
  MODE,
  SLOT,
  TEXT_BYTES,
} from "./faulty-kernel.mjs";
import { destroyNetwork, testOptions } from "./network.js";

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EXFULL: 54,
  EBADMSG: 74,
  EMSGSIZE: 90,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
};

export interface Fault {
  errno: number;
  /** The first operation that fails, counted from 1. */
  at: number;
  /** How many in a row fail; default 1. */
  times?: number;
  /** Only operations that start with this count, "RTM_NEWQDISC htb". */
  match?: string;
  /** The kernel's own words. */
  text?: string;
}

export class Faults {
  readonly module = new URL("./faulty-kernel.mjs", import.meta.url).href;
  readonly #words = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #match = new Uint8Array(new SharedArrayBuffer(TEXT_BYTES));
  readonly #text = new Uint8Array(new SharedArrayBuffer(TEXT_BYTES));
  readonly #journal = new Uint8Array(new SharedArrayBuffer(JOURNAL_BYTES));

  constructor() {
    setEnvironmentData(ENVIRONMENT_KEY, {
      words: this.#words.buffer,
      match: this.#match.buffer,
      text: this.#text.buffer,
      journal: this.#journal.buffer,
    });
  }

  /** Nothing fails; operations that start with `match` are counted. */
  none(match = ""): void {
    this.#set(MODE.refuse, { errno: 0, at: 0, times: 0, match });
  }

  /** The operations from `at` on are refused. */
  refuse(fault: Fault): void {
    this.#set(MODE.refuse, fault);
  }

  /**
   * The send that holds the operation reaches the kernel, but its acks cannot be read: they do not
   * come in time (ETIMEDOUT), found no room (ENOBUFS), are cut off (EMSGSIZE) or no acks (EBADMSG).
   */
  loseAnswer(at: number, errno = ERRNO.ETIMEDOUT): void {
    this.#set(MODE.loseAnswer, { errno, at });
  }

  /** The TAP that the operation is about is deleted from outside just before. */
  vanish(at: number): void {
    this.#set(MODE.vanish, { errno: ERRNO.ENODEV, at });
  }

  /** Every operation fails with this probability, with EBUSY or ENOMEM. */
  random(permille: number): void {
    this.#set(MODE.random, { errno: 0, at: 0 });
    this.#words[SLOT.permille] = permille;
  }

  /** Operations since the last setting. */
  get count(): number {
    return Atomics.load(this.#words, SLOT.count);
  }

  /** How many of them were made to fail. */
  get failed(): number {
    return Atomics.load(this.#words, SLOT.failed);
  }

  /** Their names, in order. */
  get journal(): string[] {
    const bytes = Uint8Array.from(
      this.#journal.subarray(0, Atomics.load(this.#words, SLOT.journalEnd)),
    );
    return new TextDecoder().decode(bytes).split("\n").slice(0, -1);
  }

  #set(mode: number, { errno, at, times = 1, match = "", text = "" }: Fault): void {
    const first = times > 0 ? at : 0;
    this.#words.fill(0);
    write(this.#match, match);
    write(this.#text, text);
    this.#words[SLOT.errno] = errno;
    this.#words[SLOT.first] = first;
    this.#words[SLOT.last] = first === 0 ? 0 : Math.min(at + times - 1, 2 ** 31 - 1);
    this.#words[SLOT.mode] = mode;
  }
}

/** Opens a network that can be refused things; nothing is, and it is destroyed, when the test has finished. */
export async function openWithFaults(
  options: NetworkOptions = testOptions(),
): Promise<{ network: Network; faults: Faults }> {
  const faults = new Faults();
  const network = await openWith(options, { kernelModule: faults.module });
  onTestFinished(() => {
    faults.none();
    return destroyNetwork(network, options);
  });
  return { network, faults };
}

function write(into: Uint8Array, text: string): void {
  into.fill(0);
  into.set(new TextEncoder().encode(text).subarray(0, into.length - 1));
}

/**
 * Refuses the next deletion of a lease, which this process makes in the main thread.
 * `vi.restoreAllMocks` ends it.
 */
export function refuseDisarm(errno: number): void {
  vi.spyOn(loadAddon().bpf, "mapDelete").mockImplementationOnce(() => {
    throw bpfError("BPF_MAP_DELETE_ELEM", errno);
  });
}

function bpfError(syscall: string, errno: number): Error {
  return Object.assign(new Error("bpf"), { errno: -errno, syscall });
}

/**
 * Refuses one write of a lease, the `at`-th from now on: 1 is the next. The map of this process is
 * written in the main thread. `vi.restoreAllMocks` ends it.
 */
export function refuseLease(errno: number, at = 1): void {
  const { bpf } = loadAddon();
  const write = bpf.mapSet.bind(bpf);
  const spy = vi.spyOn(bpf, "mapSet");
  for (let passing = 1; passing < at; passing++) spy.mockImplementationOnce(write);
  spy.mockImplementationOnce(() => {
    throw bpfError("BPF_MAP_UPDATE_ELEM", errno);
  });
}
