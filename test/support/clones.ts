// Guests of one snapshot: the identity in the memory of all of them, their forks, a stand-in guest
// that wakes with it, and whether it is translated.

import { expect, onTestFinished } from "vitest";
import type { Allocation, GuestIdentity, Network } from "../../dist/index.js";
import type { GuestOptions } from "../../dist/stand-in/commands.js";
import { type Guest, startGuest } from "../../dist/stand-in/guest.js";
import { type UdpEchoOptions, UdpService } from "../../dist/stand-in/udp-service.js";

export const SNAPSHOT: Required<GuestIdentity> = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
  gatewayMac: "06:00:00:00:00:01",
};
/** The start of a frame that a clone sends through its gateway. */
export const FROM_CLONE = {
  source: SNAPSHOT.mac,
  destination: SNAPSHOT.gatewayMac,
  sourceIp: SNAPSHOT.ip,
};
const PREFIX_LENGTH = 30;

/** Forks them all at once. */
export async function forkClones(network: Network, count: number): Promise<Allocation[]> {
  const ids = Array.from({ length: count }, (_, i) => `clone-${i}`);
  return Promise.all(
    ids.map((id) =>
      network.createAllocation({ instanceId: id, instanceName: id, guest: SNAPSHOT }),
    ),
  );
}

/** A guest that believes what its snapshot had, or what is given; ends with the test. */
export async function wake(
  { tap }: Pick<Allocation, "tap">,
  given: Partial<GuestOptions> = {},
): Promise<Guest> {
  const { ip, mac, gateway } = SNAPSHOT;
  const self = { ip, mac, gateway, prefixLength: PREFIX_LENGTH };
  const guest = await startGuest({ ...self, ...given, tap });
  onTestFinished(() => guest.stop());
  return guest;
}

/** Whether the guest's gateway answers it, and knows it by the allocation's address. */
export async function reaches(
  guest: Guest,
  { ip }: Pick<Allocation, "ip">,
  patience: Pick<UdpEchoOptions, "attempts"> = {},
): Promise<boolean> {
  const service = await UdpService.listen({ echo: true });
  try {
    const host = guest.options.gateway ?? "";
    const back = await guest.echoUdp({ host, port: service.port, ...patience });
    return back !== undefined && Object.keys(service.report().sources).includes(ip);
  } finally {
    await service.close();
  }
}

/** Whether the network drops what the guest sends: it counts that, and the gateway does not answer. */
export async function isRefused(
  guest: Guest,
  allocation: Pick<Allocation, "ip">,
  network: Network,
): Promise<boolean> {
  const dropped = () => Object.values(network.drops()).reduce((sum, count) => sum + count, 0);
  const before = dropped();
  const isAnswered = await reaches(guest, allocation, { attempts: 1 });
  await expect.poll(dropped).toBeGreaterThan(before);
  return !isAnswered;
}
