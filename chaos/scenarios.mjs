// The plans that a kill is aimed at: what comes before, the one call that dies half way, and with which pool.

import { SNAPSHOT } from "./churn.mjs";
import { perform } from "./journal.mjs";

const LOW = { download: 700_000, upload: { rate: 700_000, ceil: 700_000 } };
const HIGH = { download: 2_000_000, upload: { rate: 1_000_000, ceil: 2_000_000 } };
const EXACT = { mac: "02:00:00:00:00:c8", tapName: "exact0" };
const ID = "bare-aimed";
const OWNER = { uid: 70_002, gid: 70_003 };

const create = (/** @type {any} */ network, wish = {}) =>
  perform(network, { call: "create", id: ID, limits: HIGH, wish });
const call = (/** @type {string} */ name) => (/** @type {any} */ network) =>
  perform(network, { call: name, id: ID });
const change = (/** @type {any} */ network) =>
  perform(network, { call: "update", id: ID, limits: LOW });
/** An address that no guest has; a warm slot that has it gives it up. */
const createExact = (/** @type {any} */ network) => {
  const taken = new Set(network.listAllocations().map((/** @type {any} */ { ip }) => ip));
  const addresses = Array.from({ length: 50 }, (_, i) => `10.100.0.${200 + i}`);
  return create(network, { ...EXACT, ip: addresses.find((ip) => !taken.has(ip)) });
};
const createClone = (/** @type {any} */ network) =>
  perform(network, { call: "create", id: ID, limits: HIGH, guest: SNAPSHOT });
const identify = (/** @type {any} */ network) =>
  perform(network, { call: "identify", id: ID, guest: { ...SNAPSHOT, ip: "169.254.79.2" } });
const toStandby = async (/** @type {any} */ network) => {
  await create(network);
  await network.getAllocation(ID).shaped;
  await call("standby")(network);
};
const toShaped = async (/** @type {any} */ network) => {
  await create(network);
  await network.getAllocation(ID).shaped;
};

/**
 * `isOpening`: the call is openNetwork itself. `isEnding`: there is no open network after it. `side`: on a network of its
 * own that nobody else uses.
 * @typedef {object} Scenario
 * @property {string} name
 * @property {number} pool
 * @property {boolean} [isOpening]
 * @property {boolean} [isEnding]
 * @property {boolean} [side]
 * @property {(network: any) => Promise<unknown>} [before]
 * @property {(network: any) => Promise<unknown>} [call]
 */

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  { name: "create, cold", pool: 0, call: (network) => create(network) },
  { name: "create, warm", pool: 3, call: toShaped },
  { name: "create, another identity", pool: 3, call: createExact },
  { name: "create, for an owner", pool: 3, call: (network) => create(network, { owner: OWNER }) },
  { name: "recreate, cold", pool: 0, before: toStandby, call: call("recreate") },
  { name: "recreate, from a warm slot", pool: 3, before: toStandby, call: call("recreate") },
  {
    name: "recreate, for another owner",
    pool: 3,
    before: toStandby,
    call: (network) => perform(network, { call: "recreate", id: ID, wish: { owner: OWNER } }),
  },
  { name: "standby", pool: 0, before: create, call: call("standby") },
  { name: "release", pool: 0, before: create, call: call("release") },
  { name: "release in standby", pool: 0, before: toStandby, call: call("release") },
  { name: "change limits", pool: 0, before: create, call: change },
  { name: "change limits in standby", pool: 0, before: toStandby, call: change },
  { name: "another identity inside", pool: 0, before: createClone, call: identify },
  { name: "open, adopting", pool: 2, isOpening: true },
  { name: "close", pool: 3, isEnding: true, call: (network) => network.close() },
  { name: "open", pool: 2, isOpening: true, side: true },
  {
    name: "destroy",
    pool: 2,
    isEnding: true,
    side: true,
    before: create,
    call: (network) => network.destroy(),
  },
];

/** Whatever an earlier scenario left of its guest goes. @param {any} network */
export async function clear(network) {
  if (network.getAllocation(ID)) await perform(network, { call: "release", id: ID });
}
