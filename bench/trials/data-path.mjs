// TCP through one unlimited stand-in guest both ways, and UDP round trips, with the classes of `guests` guests existing:
// by forknet, by a linear filter list, or without any limits.

import { startGuest } from "../../dist/stand-in/guest.js";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { answer, openTrial, request, trialOptions } from "./agent.mjs";
import { measureEcho } from "./echo.mjs";
import { limitByLinearList, makePlainNetwork, PLAIN_GUEST } from "./plain-network.mjs";

const WARM_UP_SECONDS = 0.4;

const options = trialOptions();
const { setting, guests, seconds, echoes } = options;

async function forknetGuest() {
  const network = await openTrial(options);
  const others = Array.from({ length: guests - 1 }, (_, i) => network.createAllocation(request(i)));
  await Promise.all(others);
  // Without limits: a class and a TBF at 100 gbit.
  const allocation = await network.createAllocation({ instanceId: "measured", instanceName: "measured" });
  await allocation.shaped;
  return { plug: allocation, end: () => network.destroy() };
}

async function plainGuest() {
  makePlainNetwork();
  if (setting === "linear") limitByLinearList(guests);
  return { plug: PLAIN_GUEST, end: async () => {} };
}

const { plug, end } = setting === "forknet" ? await forknetGuest() : await plainGuest();
const guest = await startGuest(plug);
const measure = async (/** @type {"upload" | "download"} */ direction) => {
  const timing = { seconds, warmUpSeconds: WARM_UP_SECONDS };
  return (await measureTcp({ guest, hostIp: plug.gateway, direction, ...timing })).bitsPerSecond / 1e9;
};
const uploadGbit = await measure("upload");
const downloadGbit = await measure("download");
const echo = await measureEcho(guest, echoes);
await guest.stop();
await end();
answer({ uploadGbit, downloadGbit, echo });
