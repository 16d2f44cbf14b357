// Two guests whose agent is gone, for tests of what somebody does to them meanwhile.

import { expect } from "vitest";
import type { Allocation, NetworkOptions } from "../../dist/index.js";
import { udpFrame } from "./frames.js";
import { classNamed, tellKernel } from "./kernel-view.js";
import { openForTest, SHAPER } from "./network.js";
import { RawTap } from "./raw-tap.js";
import { REQUEST } from "./requests.js";

export const OTHER = { ...REQUEST, instanceId: "vm-2", instanceName: "beta" };
export const GATEWAY_MAC = "02:00:0a:64:00:01";

/** What of a guest stays when its agent goes. */
export type LeftGuest = Pick<Allocation, "tap" | "ifindex" | "ip" | "mac" | "classId">;

/** As an operator does, with `ip link set ... alias`. */
export function rename(ifindex: number, alias: string): void {
  tellKernel({ op: "link.set", ifindex, alias });
}

/** A guest, and one beside it, of an agent that is gone. */
export async function leaveGuests(
  options: NetworkOptions,
  other = OTHER,
): Promise<[LeftGuest, LeftGuest]> {
  const network = await openForTest(options);
  const guests: LeftGuest[] = [];
  for (const request of [REQUEST, other]) {
    const { tap, ifindex, ip, mac, classId } = await network.createAllocation(request);
    guests.push({ tap, ifindex, ip, mac, classId });
  }
  await network.close();
  return guests as [LeftGuest, LeftGuest];
}

/** A frame of the guest's reaches its class, which is where it leaves the host's judgement. */
export async function expectToSend({ tap, ip, mac, classId }: LeftGuest): Promise<void> {
  const raw = new RawTap({ tap });
  const packets = () => classNamed(SHAPER, classId)?.stats.packets ?? 0;
  const before = packets();
  const destination = { destination: GATEWAY_MAC, destinationIp: "10.100.0.1", destinationPort: 9 };
  raw.send(udpFrame({ source: mac, sourceIp: ip, ...destination }));
  await expect.poll(packets).toBe(before + 1);
  raw.close();
}
