// A network with NAT between a guest and the internet, and the questions who reaches whom.

import { onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { TcpService } from "../../dist/stand-in/tcp-service.js";
import { INTERNET_IP, openInternet } from "./internet.js";
import { openForTest, testOptions } from "./network.js";
import { lookBeside, patiently } from "./patience.js";
import { plugIn } from "./traffic-network.js";

export const GATEWAY = "10.100.0.1";
const ANSWER_MS = 5000;
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

/** What a connection ends with that should be answered: DROPPED only after a long wait. */
export function probe(from: Guest, host: string, port: number): Promise<string> {
  return from.probeTcp({ host, port, connectTimeoutMs: patiently(ANSWER_MS) });
}

/**
 * What a connection ends with that should be dropped. Beside it, one to `control` must come about: default is the host
 * at the gateway's address.
 */
export async function probeDropped(
  from: Guest,
  host: string,
  port: number,
  control?: { host: string; port: number },
): Promise<string> {
  const passing = control ?? { host: GATEWAY, port: await hostPort() };
  const ask = (target: { host: string; port: number }, connectTimeoutMs: number) =>
    from.probeTcp({ ...target, connectTimeoutMs });
  const found = await lookBeside(
    async (withinMs) => (await ask(passing, withinMs)) === "connected",
    async (withinMs) => {
      const said = await ask({ host, port }, withinMs);
      return said === DROPPED ? undefined : said;
    },
  );
  return found ?? DROPPED;
}

/** A port of the host, at every address. */
export async function hostPort(): Promise<number> {
  const service = await TcpService.listen({ host: "0.0.0.0", role: "echo" });
  onTestFinished(() => service.close());
  return service.port;
}

type Ends = Pick<Place, "guest" | "internet">;

/** What a connection into the internet ends with that should be answered. */
export async function reachesInternet({ guest, internet }: Ends): Promise<string> {
  const { port } = await internet.serveTcp({ role: "echo" });
  return probe(guest, INTERNET_IP, port);
}

/** And one that should be dropped. */
export async function missesInternet({ guest, internet }: Ends): Promise<string> {
  const { port } = await internet.serveTcp({ role: "echo" });
  return probeDropped(guest, INTERNET_IP, port);
}
