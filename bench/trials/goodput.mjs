// What a guest gets of the rate it was given: TCP goodput through stand-in guests, as a share of what the rate can carry.
// Each flow has a guest of its own; flows of one trial run side by side.

import { startGuest } from "../../dist/stand-in/guest.js";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { answer, openTrial, trialOptions } from "./agent.mjs";

/** TCP payload in a full frame of 1514 bytes: 66 are headers (Ethernet, IPv4, TCP with time stamps). */
const PAYLOAD_SHARE = 1448 / 1514;

/** @typedef {{ mbit: number, direction: "upload" | "download" }} Flow */

const options = trialOptions();
const { seconds, warmUpSeconds } = options;
const network = await openTrial(options);
const flows = /** @type {Flow[]} */ (options.flows);

const shares = await Promise.all(
  flows.map(async ({ mbit, direction }) => {
    const name = `${direction}-${mbit}`;
    const rate = /** @type {const} */ (`${mbit}mbit`);
    const limits = { download: rate, upload: { rate, ceil: rate } };
    const allocation = await network.createAllocation({
      instanceId: name,
      instanceName: name,
      ...limits,
    });
    await allocation.shaped;
    const guest = await startGuest(allocation);
    const goodput = await measureTcp({
      guest,
      hostIp: allocation.gateway,
      direction,
      seconds,
      warmUpSeconds,
    });
    await guest.stop();
    return goodput.bitsPerSecond / (mbit * 1e6 * PAYLOAD_SHARE);
  }),
);
await network.destroy();
answer({ shares });
