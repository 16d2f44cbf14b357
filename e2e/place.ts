// What a run has: a network with NAT in a namespace of its own, the internet behind it, and guests
// that are virtual machines. What is asked of them is left to the scenarios.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Allocation,
  type AllocationRequest,
  type Network,
  openNetwork,
} from "../dist/index.js";
import { type Guest, startGuest } from "../dist/stand-in/guest.js";
import { Vm } from "../examples/agent/qemu.mjs";
import { addUplink, INTERNET, INTERNET_IP, UPLINK } from "../test/support/uplink.js";

/** Where scripts/guest-image.sh puts what guests boot, and the traffic program for the host. */
export const IMAGE = fileURLToPath(new URL("../build/guest/", import.meta.url));
export const BRIDGE = "vmbr0";
/** The second is there to be handed through. */
const DNS = [INTERNET_IP, "192.0.2.54"];
const NAME_SERVER = fileURLToPath(new URL("./name-server.ts", import.meta.url));

export interface RealGuest {
  allocation: Allocation;
  vm: Vm;
  /** From the call that asked for the network to the first answer of the guest's agent. */
  bootMs: number;
}

export class Place {
  readonly #dir: string;
  readonly #nameServer: ChildProcess;
  readonly #vms: Vm[] = [];

  private constructor(
    dir: string,
    readonly network: Network,
    readonly internet: Guest,
    nameServer: ChildProcess,
  ) {
    this.#dir = dir;
    this.#nameServer = nameServer;
  }

  /** In the caller's namespace, which must be a fresh one. */
  static async open(): Promise<Place> {
    const dir = mkdtempSync(join(tmpdir(), "forknet-e2e-"));
    addUplink();
    const internet = await startGuest(INTERNET);
    const nameServer = await startNameServer(internet);
    const network = await openNetwork({
      ...networkOptions(join(dir, "state")),
      bridge: BRIDGE,
      subnet: "10.100.0.0/16",
    });
    return new Place(dir, network, internet, nameServer);
  }

  /** Another network beside this one, for guests of one snapshot. The caller destroys it. */
  openTranslating(): Promise<Network> {
    return openNetwork({
      ...networkOptions(join(this.#dir, "translating")),
      bridge: "vmbr2",
      subnet: "10.102.0.0/16",
      translate: true,
    });
  }

  /** Boots a guest on a network of its own. Several may boot at once. */
  async boot(request: AllocationRequest): Promise<RealGuest> {
    const startMs = performance.now();
    const allocation = await this.network.createAllocation(request);
    const { ip, prefixLength, gateway, dns } = allocation;
    const given = { address: `${ip}/${prefixLength}`, gateway, dns: dns.join(",") };
    const vm = await Vm.boot(this.machine(allocation, given));
    this.#vms.push(vm);
    await allocation.shaped;
    return { allocation, vm, bootMs: performance.now() - startMs };
  }

  /** What QEMU is started with for this guest; a guest that boots is told who it is. */
  machine(
    { instanceId, tap, mac }: Allocation,
    given: Record<string, string> = {},
  ): Parameters<typeof Vm.boot>[0] {
    const words = Object.entries(given).map(([name, value]) => `forknet.${name}=${value}`);
    const dir = join(this.#dir, instanceId);
    mkdirSync(dir, { recursive: true });
    const image = { kernel: join(IMAGE, "vmlinuz"), initramfs: join(IMAGE, "initramfs") };
    return {
      dir,
      tap,
      mac,
      ...image,
      commandLine: ["console=ttyS0 quiet panic=-1", ...words].join(" "),
    };
  }

  /** Where scenarios keep their snapshots. */
  file(name: string): string {
    return join(this.#dir, name);
  }

  /** Ends what is left; the namespace goes with the process. */
  async close(): Promise<void> {
    await Promise.all(this.#vms.map((vm) => vm.kill()));
    this.#nameServer.kill();
    await this.internet.stop();
    await this.network.destroy();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

function networkOptions(stateDir: string) {
  return {
    dns: DNS,
    pool: { size: 8 },
    // A guest passes nothing before its own limits hold.
    unshaped: "block" as const,
    nat: { uplink: UPLINK, enableForwarding: true },
    stateDir,
  };
}

/** In the internet's namespace. */
async function startNameServer({ pid }: Guest): Promise<ChildProcess> {
  const program = [process.execPath, ...process.execArgv, NAME_SERVER];
  const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, ...program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return child;
}
