// The process of a stand-in guest: takes its TAP on the "start" message, then serves commands until
// it is killed. Started by guest.ts; dies with its parent.

import type { FromGuest, GuestCommands, ServiceInfo, ToGuest } from "./commands.js";
import { toErrorData } from "./commands.js";
import { type GuestNetwork, plugIn } from "./guest-network.js";
import { probeTcp, receiveTcp, sendTcp, TcpService } from "./tcp-service.js";
import { echoUdp, sendUdp, UdpService } from "./udp-service.js";

// SIGKILL and not exit(): exit waits for the wire thread, which sleeps in the kernel.
const die = (): void => {
  process.kill(process.pid, "SIGKILL");
};
process.on("disconnect", die);
if (!process.connected) die();

const tcpServices = new Map<number, TcpService>();
const udpServices = new Map<number, UdpService>();
let lastService = 0;
let network: GuestNetwork | undefined;

function keep<Service extends { port: number }>(
  services: Map<number, Service>,
  service: Service,
): ServiceInfo {
  lastService += 1;
  services.set(lastService, service);
  return { service: lastService, port: service.port };
}

function find<Service>(services: ReadonlyMap<number, Service>, id: number): Service {
  const service = services.get(id);
  if (!service) throw new Error(`The guest has no service ${id}`);
  return service;
}

const commands: GuestCommands = {
  serveTcp: async (options) => keep(tcpServices, await TcpService.listen(options)),
  nextTcpReport: async ({ service }) => find(tcpServices, service).nextReport(),
  sendTcp,
  receiveTcp,
  probeTcp,
  listenUdp: async (options) => keep(udpServices, await UdpService.listen(options)),
  udpReport: async ({ service }) => find(udpServices, service).report(),
  sendUdp,
  // undefined does not survive JSON.
  echoUdp: async (options) => (await echoUdp(options)) ?? null,
  closeService: async ({ service }) => {
    await (tcpServices.get(service) ?? udpServices.get(service))?.close();
    tcpServices.delete(service);
    udpServices.delete(service);
  },
  talk: async ({ messages }) => (network as GuestNetwork).talk(messages),
};

function tell(message: FromGuest): void {
  // Fails only when the parent is gone, and then "disconnect" follows.
  process.send?.(message, () => undefined);
}

async function serve(request: Extract<ToGuest, { type: "command" }>): Promise<void> {
  const { id } = request;
  try {
    const run = commands[request.name] as (options: unknown) => Promise<unknown>;
    tell({ type: "result", id, value: await run(request.options) });
  } catch (error) {
    tell({ type: "error", id, error: toErrorData(error) });
  }
}

function start(request: Extract<ToGuest, { type: "start" }>): void {
  try {
    network = plugIn(request.options);
    const isOver = (): void => tell({ type: "unplugged" });
    network.unplugged.then(isOver, isOver);
    tell({ type: "started", ifindex: network.ifindex });
  } catch (error) {
    tell({ type: "refused", error: toErrorData(error) });
  }
}

process.on("message", (request: ToGuest) => {
  if (request.type === "start") start(request);
  else void serve(request);
});
