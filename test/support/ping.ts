// ping(8) of the host, or of a stand-in guest, and what it says.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Guest } from "../../dist/stand-in/guest.js";

const run = promisify(execFile);
const PACKETS = "3";
const INTERVAL_SECONDS = "0.05";
const PATIENCE_SECONDS = "2";

/** Percent of the packets that had no answer. */
export async function pingLoss(
  ip: string,
  sizeBytes: number,
  from?: Guest,
): Promise<string | undefined> {
  const count = ["-c", PACKETS, "-i", INTERVAL_SECONDS];
  const said = await ping([...count, "-s", String(sizeBytes), ip], from);
  return /([\d.]+)% packet loss/.exec(said)?.[1];
}

/** Who says that a packet with this time to live has come to its end. */
export async function pingedHop(ip: string, ttl: number, from: Guest): Promise<string | undefined> {
  const said = await ping(["-c", "1", "-t", String(ttl), ip], from);
  return /^From (\S+) .*Time to live exceeded/m.exec(said)?.[1];
}

async function ping(args: readonly string[], from: Guest | undefined): Promise<string> {
  const inside = from ? ["nsenter", `--net=/proc/${from.pid}/ns/net`] : [];
  const [command = "", ...rest] = [...inside, "ping", "-n", "-W", PATIENCE_SECONDS, ...args];
  try {
    return (await run(command, rest)).stdout;
  } catch (error) {
    // Its code is 1 when an answer is missing; what it says is told all the same.
    return (error as { stdout?: string }).stdout ?? "";
  }
}
