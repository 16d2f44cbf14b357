// Who reaches whom: what the guest was given, the gateway, the internet through NAT, and no neighbour.

import { INTERNET_IP } from "../test/support/uplink.js";
import type { Check } from "./check.js";
import { MAC_AND_IP, words } from "./inside.js";
import { ADDRESS, NAME } from "./name.js";
import type { Place, RealGuest } from "./place.js";

export const PINGS = 5;

type Pinger = Pick<RealGuest, "allocation" | "vm">;

export async function checkReach(place: Place, guests: readonly RealGuest[]): Promise<Check[]> {
  const echo = await place.internet.serveTcp({ role: "echo" });
  try {
    const each = guests.map(async (guest, i) => {
      const checks = [
        await checkIdentity(guest),
        await checkGateway(guest),
        await checkInternet(guest, echo.port),
        await checkName(guest),
      ];
      const peer = guests[(i + 1) % guests.length];
      return peer && peer !== guest ? [...checks, await checkPeer(guest, peer)] : checks;
    });
    return (await Promise.all(each)).flat();
  } finally {
    await echo.close();
  }
}

async function checkIdentity({ allocation, vm }: RealGuest): Promise<Check> {
  const { instanceId, ip, mac, dns } = allocation;
  const configured = [mac, ip, ...dns].join(" ");
  const servers = "sed -n 's/nameserver //p' /etc/resolv.conf";
  const measured = words(await vm.run(`${MAC_AND_IP}; ${servers}`));
  const holds = measured === configured;
  return { scenario: "MAC, IP, DNS", guest: instanceId, configured, measured, holds };
}

/** How many of the pings came back. */
async function ping({ vm }: Pinger, ip: string): Promise<number> {
  const { output } = await vm.try(`ping -c ${PINGS} -i 0.2 -W 1 ${ip}`);
  const [, received] = /(\d+) packets received/.exec(output) ?? [];
  if (received === undefined) throw new Error(`ping ${ip} said: ${output}`);
  return Number(received);
}

async function checkGateway(guest: RealGuest): Promise<Check> {
  const { instanceId, gateway } = guest.allocation;
  const answers = await ping(guest, gateway);
  const measured = `${answers} of ${PINGS} answers`;
  const scenario = "ping of the gateway";
  return { scenario, guest: instanceId, configured: gateway, measured, holds: answers === PINGS };
}

/** The internet has no route to the guests: an answer proves that their address was replaced. */
export async function checkInternet({ allocation, vm }: Pinger, port: number): Promise<Check> {
  const { instanceId } = allocation;
  const { output } = await vm.try(`(echo ${instanceId}; sleep 1) | nc -w 5 ${INTERNET_IP} ${port}`);
  const measured = output === instanceId ? "echoed" : output || "no answer";
  const holds = output === instanceId;
  const configured = `TCP to ${INTERNET_IP}`;
  return { scenario: "internet through NAT", guest: instanceId, configured, measured, holds };
}

/** Asks the first of the servers that the allocation names. */
async function checkName({ allocation, vm }: RealGuest): Promise<Check> {
  const { instanceId, dns } = allocation;
  const { output } = await vm.try(`nslookup ${NAME}`);
  const [, measured = output] =
    new RegExp(`Name:\\s+${NAME}\\s+Address: (\\S+)`).exec(output) ?? [];
  const configured = `${NAME} is ${ADDRESS}, says ${dns[0]}`;
  const holds = measured === ADDRESS;
  return { scenario: "a name through NAT", guest: instanceId, configured, measured, holds };
}

export async function checkPeer(guest: Pinger, peer: Pinger): Promise<Check> {
  const answers = await ping(guest, peer.allocation.ip);
  return {
    scenario: "ping of another guest",
    guest: guest.allocation.instanceId,
    configured: `isolated from ${peer.allocation.instanceId}`,
    measured: `${answers} of ${PINGS} answers`,
    holds: answers === 0,
  };
}
