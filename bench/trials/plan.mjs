// forknet's plan for a slot, carried out by the thread that asks: a cold fork without the way to a worker and back.
// The package does not do so: whoever holds RTNL would stop the event loop.

import { Identities } from "../../dist/identity/identities.js";
import { createKernel } from "../../dist/kernel/kernel.js";
import { formatSlotAlias } from "../../dist/lease/alias.js";
import { baseLimits, toKernelLimits } from "../../dist/limits.js";
import { resolveOptions } from "../../dist/options.js";
import { open } from "../../dist/plans/open.js";
import { reap } from "../../dist/plans/reap.js";
import { createSlot } from "../../dist/plans/slot.js";
import { answer, networkOptions, trialOptions, WARM_UP_GUESTS } from "./agent.mjs";

const given = trialOptions();
const options = resolveOptions(networkOptions(given));
const kernel = createKernel();
const { facts } = open(kernel, options);
const { mtu } = facts;
const limits = toKernelLimits(baseLimits(options.baseLimit), { ...options, mtu });
const identities = new Identities(options.subnet, async () => undefined);

function make() {
  const address = identities.claimAddress({});
  const port = identities.claimPort(address.ip);
  const alias = formatSlotAlias(address.ip, address.mac, port.class.minor);
  const spec = { tapName: port.tapName, ...address, class: port.class, limits, alias };
  const startMs = performance.now();
  const ifindex = createSlot(kernel, facts, spec);
  const us = (performance.now() - startMs) * 1000;
  identities.classCreated(port.class);
  return { us, address, port, ifindex };
}

/** @param {number} count */
function makeMany(count) {
  return Array.from({ length: count }, make);
}

/** @param {ReturnType<typeof makeMany>} slots */
function remove(slots) {
  const jobs = slots.map(({ port, ifindex, address }) => ({
    tapName: port.tapName,
    ifindex,
    ...address,
  }));
  for (const failure of reap(kernel, facts, jobs))
    if (failure) throw new Error(`${failure.operation}: errno ${failure.errno}`);
  for (const { address, port } of slots) {
    identities.releasePort(port);
    identities.releaseUnused(address);
  }
}

for (let made = 0; made < given.warmUps; made += WARM_UP_GUESTS) remove(makeMany(WARM_UP_GUESTS));
const slots = makeMany(given.n);
answer({ us: slots.map(({ us }) => us) });
remove(slots);
