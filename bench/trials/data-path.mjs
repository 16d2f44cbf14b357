// TCP through one unlimited stand-in guest both ways, and UDP round trips, while the number of guests with limits grows
// through `sizes`: by forknet, by a linear filter list, or one guest without any limits. With `offload` false the guest
// sends single frames instead of segments of 64 KB, so that what a frame costs is felt forty times as often.

import { setTimeout as sleep } from "node:timers/promises";
import { startGuest } from "../../dist/stand-in/guest.js";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { answer, openTrial, request, trialOptions } from "./agent.mjs";
import { measureEcho } from "./echo.mjs";
import { limitByLinearList, makePlainNetwork, PLAIN_GUEST } from "./plain-network.mjs";

const WARM_UP_SECONDS = 0.3;
/** For what the kernel still does about a thousand new links. */
const SETTLE_MS = 300;

const options = trialOptions();
const { setting, sizes, seconds, echoes, offload } = options;

/** The measured guest, how the others come, and the end of all. */
async function forknetNetwork() {
  const network = await openTrial(options);
  // Without limits: a class and a TBF at 100 gbit.
  const plug = await network.createAllocation({ instanceId: "measured", instanceName: "measured" });
  await plug.shaped;
  const grow = async (/** @type {number} */ guests) => {
    const missing = guests - network.listAllocations().length;
    await Promise.all(Array.from({ length: missing }, (_, i) => network.createAllocation(request(`${guests}-${i}`))));
  };
  return { plug, grow, end: () => network.destroy() };
}

function plainNetwork() {
  makePlainNetwork();
  const grow = async (/** @type {number} */ guests) => {
    if (setting === "linear") limitByLinearList(guests);
  };
  return { plug: PLAIN_GUEST, grow, end: async () => {} };
}

const { plug, grow, end } = setting === "forknet" ? await forknetNetwork() : plainNetwork();
const { tap, mac, ip, prefixLength, gateway } = plug;
const guest = await startGuest({ tap, mac, ip, prefixLength, gateway, vnetHdr: offload });
const measure = async (/** @type {"upload" | "download"} */ direction) => {
  const timing = { seconds, warmUpSeconds: WARM_UP_SECONDS };
  return (await measureTcp({ guest, hostIp: gateway, direction, ...timing })).bitsPerSecond / 1e9;
};
const bySize = [];
for (const guests of sizes) {
  await grow(guests);
  await sleep(SETTLE_MS);
  const uploadGbit = await measure("upload");
  const downloadGbit = await measure("download");
  bySize.push({ guests, uploadGbit, downloadGbit, echo: await measureEcho(guest, echoes) });
}
await guest.stop();
await end();
answer({ bySize });
