// Random calls as fast as they go: every guest is a line of its own, and all lines run at once.

import { setTimeout as sleep } from "node:timers/promises";
import { perform } from "./journal.mjs";
import { pick, pickLimits } from "./random.mjs";

/** Guests that come and go without a pause. */
const BARE = 14;
/** Guests that send and receive for a while before they go. */
const PLUGGED = 6;
/** Guests that stay for the whole campaign: only their limits change. */
const KEPT = 4;
const LONGEST_STAY_MS = 400;

/** In the memory of all clones, as long as nobody tells them another. */
export const SNAPSHOT = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
  gatewayMac: "06:00:00:00:00:01",
};
/** What a clone without traffic may be told to be; null is its own. */
const IDENTITIES = [SNAPSHOT, { ...SNAPSHOT, ip: "169.254.78.2" }, null];

/** Whether a guest has traffic: told by its id, so that every process knows. @param {string} id */
export function hasTraffic(id) {
  return !id.startsWith("bare-");
}

/** Whether a guest is made with its snapshot's identity: every other one. @param {string} id */
function isClone(id) {
  return Number(id.split("-")[1]) % 2 === 1;
}

/** @param {string} id */
const guestOf = (id) => (isClone(id) ? { guest: SNAPSHOT } : {});

/**
 * Runs until the process is killed, or `isOver`: then it resolves when all calls are answered.
 * @param {any} network
 * @param {() => number} random
 * @param {(ifindex: number) => Promise<void>} plugged resolves when the guest has its TAP open
 * @param {() => boolean} [isOver]
 */
export async function churn(network, random, plugged, isOver = () => false) {
  const names = (/** @type {string} */ kind, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, i) => `${kind}-${i}`);
  await Promise.all([
    ...names("bare", BARE).map((id) => live(network, random, isOver, id)),
    ...names("plugged", PLUGGED).map((id) => live(network, random, isOver, id, plugged)),
    ...names("kept", KEPT).map((id) => keep(network, random, isOver, id, plugged)),
  ]);
}

/**
 * @param {any} network
 * @param {() => number} random
 * @param {() => boolean} isOver
 * @param {string} id
 * @param {(ifindex: number) => Promise<void>} [plugged]
 */
async function live(network, random, isOver, id, plugged) {
  while (!isOver()) {
    const { state, ifindex } = network.getAllocation(id) ?? {};
    // A TAP is deleted under its guest, but not while the guest opens it: that would make another.
    if (plugged && state === "active") {
      await plugged(ifindex);
      await sleep(random() * LONGEST_STAY_MS);
    }
    const calls = [nextCall(network, random, id, state)];
    // Somebody changes his mind: the release overtakes the call.
    if (!plugged && random() < 0.1) calls.push(perform(network, { call: "release", id }));
    await Promise.all(calls);
    // A call that had nothing to do must not keep the others from their turn.
    await sleep(0);
  }
}

/**
 * @param {any} network
 * @param {() => number} random
 * @param {string} id
 * @param {string | undefined} state
 */
function nextCall(network, random, id, state) {
  const limits = pickLimits(random);
  if (state === undefined) return perform(network, { call: "create", id, limits, ...guestOf(id) });
  if (state === "standby") {
    const call = pick(random, ["recreate", "recreate", "update", "release"]);
    const isKept = call === "release" || (call === "recreate" && random() < 0.5);
    return perform(network, { call, id, ...(isKept ? {} : { limits }) });
  }
  // With traffic it goes on sending as what it was.
  const calls = isClone(id) && !hasTraffic(id) ? ["identify", "identify"] : [];
  const call = pick(random, ["update", "standby", "release", ...calls]);
  if (call === "identify") return perform(network, { call, id, guest: pick(random, IDENTITIES) });
  return perform(network, { call, id, ...(call === "update" ? { limits } : {}) });
}

/**
 * @param {any} network
 * @param {() => number} random
 * @param {() => boolean} isOver
 * @param {string} id
 * @param {(ifindex: number) => Promise<void>} plugged
 */
async function keep(network, random, isOver, id, plugged) {
  // A worker may die under the first.
  while (!network.getAllocation(id))
    await perform(network, { call: "create", id, limits: pickLimits(random), ...guestOf(id) });
  await plugged(network.getAllocation(id).ifindex);
  while (!isOver()) {
    await sleep(random() * LONGEST_STAY_MS);
    await perform(network, { call: "update", id, limits: pickLimits(random) });
  }
}
