// `forknet demo`: the main job from end to end in a network namespace of its own. Everything shown
// is measured.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { parseBandwidth } from "../bandwidth.js";
import { macOf, parseIpv4, parseMac } from "../identity/ipv4.js";
import { loadAddon } from "../kernel/addon.js";
import type { Netlink } from "../kernel/binding.js";
import { type Guest, startGuest } from "../stand-in/guest.js";
import { measureTcp } from "../stand-in/traffic.js";
import { UdpService } from "../stand-in/udp-service.js";
import { AgentProcess } from "./agent-process.js";
import { addCommand } from "./command.js";
import type { ForkReport } from "./demo-agent.js";
import { type DemoReport, printSection, type RateRow } from "./demo-report.js";
import { enterOwnNamespace } from "./own-namespace.js";
import { Progress } from "./progress.js";

const BRIDGE = "vmbr0";
const SUBNET = "10.100.0.0/16";
const GATEWAY = "10.100.0.1";
const FORKS = 25;
const POOL = 32;
const MEASURED_SECONDS = 3;
const LIMITS = [
  { download: "100mbit", upload: { rate: "20mbit", ceil: "20mbit" } },
  { download: "20mbit", upload: { rate: "50mbit", ceil: "50mbit" } },
] as const;

export function addDemo(program: Command): void {
  addCommand(program, "demo", {
    text: "the main job on a real kernel, in a network namespace of its own that goes with it (needs root)",
    examples: ["forknet demo", "forknet demo --json | jq .forks[0]"],
  }).action((options: { json?: boolean }) => runDemo({ json: options.json ?? false }));
}

/**
 * Runs the demo and prints it; rejects with ERR_FORKNET_PERMISSION when a namespace may not be
 * made.
 */
async function runDemo({ json }: { json: boolean }): Promise<void> {
  enterOwnNamespace("the demo");
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-demo-"));
  const demo = new Demo(stateDir, json);
  try {
    const report = await demo.run();
    if (json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    const left = Object.values(report.left).reduce((sum, count) => sum + count, 0);
    if (left > 0 || report.spoofed.arrived > 0) process.exitCode = 1;
  } finally {
    await demo.end();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

class Demo {
  readonly #options: { bridge: string; subnet: string; stateDir: string; pool: { size: number } };
  readonly #progress: Progress;
  readonly #json: boolean;
  readonly #netlink: Netlink = new (loadAddon().Netlink)();
  readonly #guests: Guest[] = [];
  #agent = new AgentProcess();

  constructor(stateDir: string, json: boolean) {
    this.#options = { bridge: BRIDGE, subnet: SUBNET, stateDir, pool: { size: POOL } };
    this.#json = json;
    this.#progress = new Progress(json);
  }

  async run(): Promise<DemoReport> {
    const forks = await this.#part("forks", () => this.#fork());
    const rates = await this.#part("rates", () => this.#measure(forks));
    const spoofed = await this.#part("spoofed", () => this.#spoof());
    const standby = await this.#part("standby", () => this.#standby(forks));
    const crash = await this.#part("crash", () => this.#crash());
    const release = await this.#part("release", () => this.#release());
    const left = await this.#part("left", () => this.#count());
    return { forks, rates, spoofed, standby, crash, release, left };
  }

  async end(): Promise<void> {
    await Promise.all(this.#guests.map((guest) => guest.stop()));
    await this.#agent.kill("SIGTERM");
    this.#netlink.close();
    this.#progress.clear();
  }

  async #part<Name extends keyof DemoReport>(name: Name, run: () => Promise<DemoReport[Name]>) {
    const result = await run();
    this.#progress.clear();
    if (!this.#json) printSection(name, result);
    return result;
  }

  async #fork(): Promise<ForkReport[]> {
    this.#progress.tell(`opening ${BRIDGE} (${SUBNET}) and warming ${POOL} slots`);
    await this.#agent.ask("open", this.#options);
    for (let i = 0; i < 100 && this.#taps().length < POOL; i++) await sleep(50);
    this.#progress.tell(`${FORKS} forks at once`);
    const requests = Array.from({ length: FORKS }, (_, i) => ({
      instanceId: `vm-${i}`,
      instanceName: `demo-${i}`,
      ...LIMITS[i % LIMITS.length],
    }));
    return this.#agent.ask("fork", requests as never);
  }

  /** Real TCP both ways through two guests, each a namespace with a TCP/IP stack behind its TAP. */
  async #measure(forks: readonly ForkReport[]): Promise<RateRow[]> {
    const rows: RateRow[] = [];
    for (const { allocation } of forks.slice(0, LIMITS.length))
      this.#guests.push(await startGuest(allocation));
    for (const direction of ["download", "upload"] as const) {
      this.#progress.tell(
        `TCP ${direction} through ${this.#guests.length} guests for ${MEASURED_SECONDS} s`,
      );
      const measured = await Promise.all(
        this.#guests.map((guest) =>
          measureTcp({ guest, hostIp: GATEWAY, direction, seconds: MEASURED_SECONDS }),
        ),
      );
      measured.forEach(({ bitsPerSecond }, i) => {
        const { download, upload } = LIMITS[i] as (typeof LIMITS)[number];
        const configuredBits = parseBandwidth(
          direction === "download" ? download : upload.ceil,
          direction,
        );
        rows.push({
          instanceId: `vm-${i}`,
          direction,
          configuredBits,
          measuredBits: Math.round(bitsPerSecond),
        });
      });
    }
    return rows;
  }

  /** The same datagrams with the guest's own MAC and with a foreign one. */
  async #spoof(): Promise<DemoReport["spoofed"]> {
    const guest = this.#guests[0] as Guest;
    const service = await UdpService.listen({ host: GATEWAY });
    const before = await this.#agent.ask("drops");
    const send = async () => {
      const { sent } = await guest.sendUdp({
        host: GATEWAY,
        port: service.port,
        count: 10,
        perSecond: 100,
      });
      await sleep(200);
      return { sent, arrived: service.report().datagrams };
    };
    const honest = await send();
    const gateway = parseIpv4(GATEWAY, "gateway");
    const { ifindex } = guest;
    const become = (mac: string) =>
      guest.talk([
        { op: "link.set", ifindex, mac: parseMac(mac, "mac") },
        // A new MAC empties the guest's ARP cache; without an entry it would stop at its own
        // request.
        { op: "neighbor.set", ifindex, ip: gateway, mac: macOf(gateway) },
      ]);
    await become("02:00:0a:64:ff:ff");
    const forged = await send();
    await become(guest.options.mac);
    await service.close();
    const after = await this.#agent.ask("drops");
    return {
      honest,
      sent: forged.sent,
      arrived: forged.arrived - honest.arrived,
      dropped: after.mac - before.mac,
    };
  }

  async #standby(forks: readonly ForkReport[]): Promise<DemoReport["standby"]> {
    const last = (forks.at(-1) as ForkReport).allocation;
    const resting = await this.#agent.ask("standby", last.instanceId);
    const tapsInStandby = this.#taps().filter((name) => name === last.tap).length;
    const restored = await this.#agent.ask("recreate", last.instanceId);
    const isSame =
      restored.ip === last.ip &&
      restored.mac === last.mac &&
      restored.instanceName === last.instanceName;
    return {
      instanceId: last.instanceId,
      state: resting.state,
      tapsInStandby,
      restored: restored.state,
      isSame,
    };
  }

  /** kill -9, traffic goes on without an agent, the next agent adopts. */
  async #crash(): Promise<DemoReport["crash"]> {
    const { pid } = this.#agent;
    const before = this.#guestTaps();
    await this.#agent.kill("SIGKILL");
    this.#progress.tell("agent killed; measuring a guest without it");
    const guest = this.#guests[0] as Guest;
    const { bitsPerSecond } = await measureTcp({
      guest,
      hostIp: GATEWAY,
      direction: "upload",
      seconds: 2,
    });
    this.#agent = new AgentProcess();
    const { adopted, openMs } = await this.#agent.ask("open", {
      ...this.#options,
      pool: { size: 0 },
    });
    const kept = adopted.filter(({ ifindex }) => before.has(ifindex)).length;
    return {
      pid,
      adopted: adopted.length,
      sameTaps: kept,
      openMs,
      uploadWithoutAgentBits: Math.round(bitsPerSecond),
    };
  }

  async #release(): Promise<DemoReport["release"]> {
    await Promise.all(this.#guests.splice(0).map((guest) => guest.stop()));
    this.#progress.tell("releasing all");
    return this.#agent.ask("releaseAll");
  }

  /** What is still there: after the releases only the network itself, after destroy nothing. */
  async #count(): Promise<DemoReport["left"]> {
    const neighbors = this.#netlink.neighbors().filter(({ state }) => state === 0x80).length;
    const taps = this.#taps().length;
    await this.#agent.ask("destroy");
    const links = this.#netlink.links().filter(({ name }) => name !== "lo").length;
    return { taps, neighbors, links };
  }

  #taps(): string[] {
    return this.#netlink.links({ kind: "tun" }).map(({ name }) => name);
  }

  #guestTaps(): Set<number> {
    const isGuest = (alias: string) => alias.startsWith("forknet1 vm-");
    return new Set(
      this.#netlink
        .links({ kind: "tun" })
        .flatMap((link) => (isGuest(link.alias) ? [link.ifindex] : [])),
    );
  }
}
