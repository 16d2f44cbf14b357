// ping(8) of the host, or of a stand-in guest, and what it says.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Guest } from "../../dist/stand-in/guest.js";
import { patiently } from "./patience.js";

const run = promisify(execFile);
const ANSWER_MS = 5000;

/**
 * Whether one packet is answered. One, because behind the last of several ping waits for two round
 * trips only, and on a busy machine tells of losses that are none.
 */
export async function answersPing(ip: string, sizeBytes: number, from?: Guest): Promise<boolean> {
  return (await ping(["-s", String(sizeBytes), ip], from)).includes(" 0% packet loss");
}

/** Who says that a packet with this time to live has come to its end. */
export async function pingedHop(ip: string, ttl: number, from: Guest): Promise<string | undefined> {
  const said = await ping(["-t", String(ttl), ip], from);
  return /^From (\S+) .*Time to live exceeded/m.exec(said)?.[1];
}

/** Round trips of `count` packets beside whatever else is on the way, in milliseconds, shortest first. */
export async function roundTrips(ip: string, count: number, from?: Guest): Promise<number[]> {
  const said = await ping(["-i", "0.2", "-c", String(count), ip], from);
  const times = Array.from(said.matchAll(/ time=([\d.]+) ms/g), ([, ms]) => Number(ms));
  return times.sort((a, b) => a - b);
}

async function ping(args: readonly string[], from: Guest | undefined): Promise<string> {
  const inside = from ? ["nsenter", `--net=/proc/${from.pid}/ns/net`] : [];
  const wait = ["-n", "-c", "1", "-W", String(patiently(ANSWER_MS) / 1000)];
  const [command = "", ...rest] = [...inside, "ping", ...wait, ...args];
  try {
    return (await run(command, rest)).stdout;
  } catch (error) {
    // Its code is 1 when the answer is missing; what it says is told all the same.
    return (error as { stdout?: string }).stdout ?? "";
  }
}
