// The driver's journal: what it asks and what is acknowledged, each written to a pipe before anything else is done.
// The pipe's other end is the parent's, so the journal outlives a driver that is killed.

import { writeSync } from "node:fs";

const JOURNAL_FD = 3;
/** Numbers of calls do not come again in a later life. */
let calls = Math.floor(nowMs() * 1000);

/** Milliseconds of CLOCK_MONOTONIC, the same in every process. */
export function nowMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** @param {object} event */
export function note(event) {
  writeSync(JOURNAL_FD, `${JSON.stringify({ atMs: nowMs(), ...event })}\n`);
}

/**
 * Makes one call of the network and notes it. A rejection is noted, too, and not thrown.
 * @param {any} network
 * @param {{ call: string, id: string, name?: string, limits?: object, guest?: object | null,
 *   wish?: object }} step
 * @returns {Promise<boolean>} whether it was acknowledged
 */
export async function perform(network, step) {
  const { call, id, limits, guest, wish } = step;
  calls += 1;
  const number = calls;
  const asked = { ...(limits && { limits }), ...(guest !== undefined && { guest }) };
  note({ event: "ask", number, call, id, ...asked });
  try {
    const request = { instanceId: id, instanceName: `name-${id}`, ...limits, ...wish };
    if (call === "create") await network.createAllocation({ ...request, ...(guest && { guest }) });
    else if (call === "recreate") await network.recreateAllocation(id, { ...limits, ...wish });
    else if (call === "standby") await network.standbyAllocation(id);
    else if (call === "release") await network.releaseAllocation(id);
    else if (call === "identify") await network.updateGuest(id, guest);
    else await network.updateLimits(id, limits);
    const allocation = network.getAllocation(id);
    note({ event: "ack", number, call, id, ...(allocation ? { allocation } : {}) });
    return true;
  } catch (error) {
    const { code, message } = /** @type {any} */ (error);
    note({ event: "refusal", number, call, id, code: String(code), message });
    return false;
  }
}
