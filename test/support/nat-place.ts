// A network with NAT between a guest and the internet, and the questions who reaches whom.

import { onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { TcpService } from "../../dist/stand-in/tcp-service.js";
import { INTERNET_IP, openInternet } from "./internet.js";
import { openForTest, testOptions } from "./network.js";
import { plugIn } from "./traffic-network.js";

export const GATEWAY = "10.100.0.1";
/** Long enough for an answer in one machine. */
export const SILENCE_MS = 700;
/** What a connection ends with when nothing answers. */
export const DROPPED = "ETIMEDOUT";

export interface Place {
  network: Network;
  allocation: Allocation;
  guest: Guest;
  internet: Guest;
}

export async function openPlace(
  nat: NonNullable<NetworkOptions["nat"]>,
  given: { isRouted?: boolean; isolated?: boolean } = {},
): Promise<Place> {
  const internet = await openInternet(given);
  const network = await openForTest(testOptions({ nat, isolated: given.isolated ?? true }));
  const allocation = await fork(network, "a");
  return { network, allocation, guest: await plugIn(allocation), internet };
}

export function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id });
}

export function probe(from: Guest, host: string, port: number): Promise<string> {
  return from.probeTcp({ host, port, connectTimeoutMs: SILENCE_MS });
}

/** A port of the host, at every address. */
export async function hostPort(): Promise<number> {
  const service = await TcpService.listen({ host: "0.0.0.0", role: "echo" });
  onTestFinished(() => service.close());
  return service.port;
}

export async function reachesInternet({ guest, internet }: Place): Promise<string> {
  const { port } = await internet.serveTcp({ role: "echo" });
  return probe(guest, INTERNET_IP, port);
}
