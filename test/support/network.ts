// Networks for kernel tests: options with a state directory of their own, a short way to open one,
// and its end. The kernel is read back in kernel-view.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Network, type NetworkOptions, openNetwork } from "../../dist/index.js";
import { IS_BEFORE_6_2 } from "./kernel-release.js";
import { compareKernelStates, readOpenFiles } from "./kernel-state.js";
import { linkNamed, readNetworkLines, warmSlots } from "./kernel-view.js";

export const BRIDGE = "vmbr0";
/** The shaper's name says the gateway: 10.100.0.1. */
export const SHAPER = "fku0a640001";

/**
 * No warm slots, and capacity for any test. The state directory goes when the test has finished.
 */
export function testOptions(overrides: Partial<NetworkOptions> = {}): NetworkOptions {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-test-"));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const defaults = {
    bridge: BRIDGE,
    subnet: "10.100.0.0/16",
    uploadCapacity: "100gbit",
    pool: { size: 0 },
    stateDir,
    // Debian's 6.1 has no way to judge them.
    ...(IS_BEFORE_6_2 && { unverifiedChecksums: "accept" as const }),
  };
  return { ...defaults, ...overrides };
}

/** Opens a network that is destroyed when the test has finished, also when the test closed it. */
export async function openForTest(options: NetworkOptions = testOptions()): Promise<Network> {
  const network = await openNetwork(options);
  onTestFinished(() => destroyNetwork(network, options));
  return network;
}

/**
 * Opens what another process left, with this guest alive in it; ends before openForTest's clean-up.
 */
export async function reopen(options: NetworkOptions, instanceId: string): Promise<Network> {
  const network = await openNetwork(options);
  onTestFinished(() => network.close());
  expect(network.getAllocation(instanceId)?.state).toBe("active");
  return network;
}

/** Resolves when so many warm slots are there and the network knows of them. */
export async function poolFilled(network: Network, size: number): Promise<void> {
  await expect.poll(() => warmSlots(BRIDGE).length).toBe(size);
  // The slots' maker answers in order: what it said of the last slot is known when this returns.
  await network.reconcile({ dryRun: true });
}

/**
 * What another process leaves of a network is removed when the test has finished. To be called
 * before that process is started, so that it is killed by then.
 */
export function destroyedAtEnd(options: NetworkOptions): void {
  onTestFinished(async () => {
    if (linkNamed(options.bridge)) await (await openNetwork(options)).destroy();
  });
}

/** Removes the network from the kernel, whoever closed it. */
export async function destroyNetwork(network: Network, options: NetworkOptions): Promise<void> {
  try {
    await network.destroy();
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_FORKNET_CLOSED") throw error;
    await network.close();
    if (linkNamed(options.bridge)?.alias.startsWith("forknet1 "))
      await (await openNetwork(options)).destroy();
  }
}

/** A free class gets a new queue at every try to use it, under one of two handles in turn. */
function withoutLeafHandle(line: string): string {
  return line.replace(/^(qdisc tbf) [0-9a-f]+(?= parent \S+ on fku)/, "$1");
}

/**
 * Expects a refusal with this code, and fields that match; the kernel is the same before and after.
 */
export async function expectRefused(
  call: () => Promise<unknown>,
  code: string,
  fields: Record<string, unknown> = {},
): Promise<void> {
  const before = readNetworkLines().map(withoutLeafHandle);
  await expect(call()).rejects.toMatchObject({ code: `ERR_FORKNET_${code}`, ...fields });
  expect(compareKernelStates(before, readNetworkLines().map(withoutLeafHandle))).toEqual([]);
}

/**
 * The same for a network that does not open: what the kernel holds for this process is as before,
 * too.
 */
export async function expectNotOpened(
  options: NetworkOptions,
  code: string,
  fields: Record<string, unknown> = {},
): Promise<void> {
  const before = readOpenFiles();
  await expectRefused(() => openNetwork(options), code, fields);
  await expect.poll(() => compareKernelStates(before, readOpenFiles())).toEqual([]);
}
