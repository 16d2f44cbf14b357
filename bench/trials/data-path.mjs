// TCP through one unlimited stand-in guest both ways, and UDP round trips, while the number of guests with limits grows
// through `sizes`: by forknet, by a linear filter list, or one guest without any limits. With `offload` false the guest
// sends single frames instead of segments of 64 KB, so that what a frame costs is felt forty times as often. With
// `translate` the network translates: "guest" this guest, too, "others" could, but has none to translate.

import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { answer, openTrial, request, trialOptions } from "./agent.mjs";
import { limitByLinearList, makePlainNetwork, PLAIN_GUEST } from "./plain-network.mjs";

const options = trialOptions();
const { setting, sizes, seconds, echoes, flows, settleMs, offload, translate } = options;

/** What a translated guest believes to be. */
const SNAPSHOT = { ip: "169.254.77.2", mac: "06:00:00:00:00:02", gateway: "169.254.77.1" };
const SNAPSHOT_PREFIX_LENGTH = 30;

/** The measured guest, how the others come, and the end of all. */
async function forknetNetwork() {
  const network = await openTrial(options);
  // Without limits: a class and a TBF at 100 gbit.
  const plug = await network.createAllocation({
    instanceId: "measured",
    instanceName: "measured",
    ...(translate === "guest" && { guest: SNAPSHOT }),
  });
  await plug.shaped;
  const others = () => network.listAllocations().filter((one) => one !== plug);
  const grow = async (/** @type {number} */ guests) => {
    const missing = guests - 1 - others().length;
    await Promise.all(
      Array.from({ length: missing }, (_, i) =>
        network.createAllocation(request(`${guests}-${i}`)),
      ),
    );
    await Promise.all(others().map(({ shaped }) => shaped));
  };
  const shrink = async () => {
    await Promise.all(others().map(({ instanceId }) => network.releaseAllocation(instanceId)));
  };
  return { plug, grow, shrink, end: () => network.destroy() };
}

function plainNetwork() {
  makePlainNetwork();
  const grow = async (/** @type {number} */ guests) => {
    if (setting === "linear") limitByLinearList(guests);
  };
  return { plug: PLAIN_GUEST, grow, shrink: undefined, end: async () => {} };
}

const { plug, grow, shrink, end } = setting === "forknet" ? await forknetNetwork() : plainNetwork();
const { tap, mac, ip, prefixLength, gateway } = plug;
const identity =
  translate === "guest"
    ? { ...SNAPSHOT, prefixLength: SNAPSHOT_PREFIX_LENGTH }
    : { mac, ip, prefixLength, gateway };
const guest = { tap, ...identity, vnetHdr: offload };
const meter = fork(fileURLToPath(new URL("./meter.mjs", import.meta.url)), [
  JSON.stringify({ guest, outerIp: ip, hostIp: gateway, seconds, echoes, flows }),
]);
/** What the meter says next; rejects when it ends instead. */
async function said() {
  const ended = once(meter, "exit").then(() => Promise.reject(new Error("The meter has ended")));
  const [message] = await Promise.race([once(meter, "message"), ended]);
  return message;
}
await said();
const bySize = [];
const measure = async () => {
  await sleep(settleMs);
  meter.send("measure");
  return said();
};
for (const guests of sizes) {
  await grow(guests);
  bySize.push({ guests, ...(await measure()) });
}
// Once more alone, so that a machine that became slower or faster meanwhile does not pass for the guests' doing.
await shrink?.();
const alone = shrink && (await measure());
meter.disconnect();
await once(meter, "exit");
await end();
answer({ bySize, alone });
