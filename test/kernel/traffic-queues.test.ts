// How long a frame waits beside a flood: pings through the queue that a TCP flow keeps full, both
// ways, at rates at which a segmented frame of 64 KB takes seconds and at which it takes none.

import { expect, it } from "vitest";
import { LongFlow } from "../support/long-flow.js";
import { openForTest } from "../support/network.js";
import { roundTrips } from "../support/ping.js";
import { plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const LATENCY_MS = 50;
const FRAME_BITS = 8 * 1514;
/** What a queue holds at least. */
const FEWEST_FRAMES = 4;
const PINGS = 15;
/** Timers and processes of a busy machine; the queues of before were 400 ms and more over it. */
const SLACK_MS = 100;

it.each([
  ["128kbit", 128e3],
  ["1mbit", 1e6],
  ["10mbit", 10e6],
  ["100mbit", 100e6],
])("a ping beside a flood of %s waits no longer than the options say", async (limit, rate) => {
  const network = await openForTest();
  const guest = async (id: string) => {
    const request = { instanceId: id, instanceName: id, download: limit, upload: limit };
    const upload = { rate: limit, ceil: limit };
    const allocation = await network.createAllocation({ ...request, upload });
    await allocation.shaped;
    return plugIn(allocation);
  };
  const [sender, receiver] = [await guest("sender"), await guest("receiver")];
  const [up, down] = await Promise.all([
    LongFlow.start(sender, GATEWAY, "upload"),
    LongFlow.start(receiver, GATEWAY, "download"),
  ]);
  // The first burst goes at the speed of the wire.
  await up.settle(2000);
  const [upload, download, goodput] = await Promise.all([
    roundTrips(GATEWAY, PINGS, sender),
    roundTrips(receiver.ip, PINGS),
    Promise.all([up.over(3000), down.over(3000)]),
  ]);
  // One frame is in service, and HTB lets go what its bucket has.
  const waitMs = Math.max(LATENCY_MS, (1000 * FEWEST_FRAMES * FRAME_BITS) / rate);
  const mostMs = waitMs + (1000 * 2 * FRAME_BITS) / rate + SLACK_MS;
  const median = (times: number[]) => times[times.length >> 1] ?? Number.POSITIVE_INFINITY;
  expect(median(upload), `upload ${upload}`).toBeLessThan(mostMs);
  expect(median(download), `download ${download}`).toBeLessThan(mostMs);
  // The flood was one, and short queues do not slow it down.
  const shares = goodput.map((one) => shareOf(rate, one));
  expect(Math.min(...shares), `upload, download: ${shares}`).toBeGreaterThan(0.8);
});
