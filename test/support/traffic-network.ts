// What traffic tests need around a network: guests behind its TAPs, forks that surely come from a
// warm slot, workers that can be held back, and the judgement of a goodput. Opening and removing
// networks is left to network.ts.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished } from "vitest";
import type { Allocation, AllocationRequest, Network, NetworkOptions } from "../../dist/index.js";
import { type Internals, openWith } from "../../dist/open.js";
import { type Guest, startGuest } from "../../dist/stand-in/guest.js";
import { destroyNetwork } from "./network.js";
import { patiently } from "./patience.js";

/**
 * TCP payload in a full frame of 1514 bytes: 66 are headers (Ethernet, IPv4, TCP with time stamps).
 */
export const PAYLOAD_SHARE = 1448 / 1514;
export const MBIT = 1e6;
const WARM_MS = 10_000;
const ATTEMPTS = 3;

/** A guest behind the allocation's TAP; ends with the test. */
export async function plugIn(
  allocation: Pick<Allocation, "tap" | "mac" | "ip" | "prefixLength" | "gateway">,
): Promise<Guest> {
  const guest = await startGuest(allocation);
  onTestFinished(() => guest.stop());
  return guest;
}

/** Forks from a warm slot; waits until the pool has one. */
export async function forkWarm(network: Network, request: AllocationRequest): Promise<Allocation> {
  const deadline = performance.now() + patiently(WARM_MS);
  for (;;) {
    const allocation = await network.createAllocation(request);
    // A cold slot has its limits from the start.
    if (allocation.shaping === "pending") return allocation;
    await network.releaseAllocation(request.instanceId);
    if (performance.now() > deadline) throw new Error("The pool has no warm slot");
    await sleep(20);
  }
}

/**
 * Opens a network whose workers stop before a message of this kind ("qdisc.tbf,change") until
 * `letGo` is called; `isHeld` tells whether one ever did.
 */
export async function openHeld(
  options: NetworkOptions,
  hold: string,
  internals: Omit<Internals, "kernelModule"> = {},
): Promise<{ network: Network; hold: () => void; isHeld: () => boolean; letGo: () => void }> {
  const directory = mkdtempSync(join(tmpdir(), "forknet-held-"));
  const file = join(directory, "held");
  const kernelModule = new URL(
    `./held-kernel.mjs?${new URLSearchParams({ file, hold })}`,
    import.meta.url,
  ).href;
  const network = await openWith(options, { ...internals, kernelModule });
  const letGo = () => rmSync(file, { force: true });
  onTestFinished(async () => {
    rmSync(directory, { recursive: true, force: true });
    await destroyNetwork(network, options);
  });
  const isHeld = () => existsSync(`${file}.reached`);
  return { network, hold: () => writeFileSync(file, ""), isHeld, letGo };
}

/** Goodput as a share of what the configured rate can carry; 1 is all of it. */
export function shareOf(rateBits: number, { bitsPerSecond }: { bitsPerSecond: number }): number {
  return bitsPerSecond / (rateBits * PAYLOAD_SHARE);
}

/**
 * Expects every value within `tolerance` of 1. A measurement that misses is repeated twice: when
 * the machine's other work stops a sender or a receiver for a while, the flow is not limited by
 * what is tested here.
 */
export async function expectShares(
  measure: () => Promise<Record<string, number>>,
  tolerance: number,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const shares = await measure();
    const missed = Object.entries(shares).filter(
      ([, share]) => !(Math.abs(share - 1) <= tolerance),
    );
    if (missed.length === 0) return;
    if (attempt === ATTEMPTS) expect(shares, `within ${tolerance} of 1`).toEqual({});
    console.log(
      `measured again: ${missed.map(([name, share]) => `${name} ${share.toFixed(3)}`).join(", ")}`,
    );
  }
}
