// The virtual machines of a host: QEMU for each, forknet for the network of each, and snapshots on disk.
// The order of the steps is what to copy: network first, then the machine; machine first, then the network.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SpanStatusCode, trace } from "@opentelemetry/api";
import { Vm } from "./qemu.mjs";

/**
 * @typedef {{ kernel: string, initramfs: string }} Image
 * @typedef {import("forknet").LimitsRequest} LimitsRequest
 */

const tracer = trace.getTracer("agent");

/**
 * Runs a step in a span of its own, under the active one.
 * @template T
 * @param {string} name
 * @param {string} id
 * @param {() => Promise<T>} step
 * @returns {Promise<T>}
 */
function traced(name, id, step) {
  return tracer.startActiveSpan(name, { attributes: { "vm.id": id } }, async (span) => {
    try {
      return await step();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

export class Machines {
  /** @type {Map<string, Vm>} */
  #running = new Map();
  /** @type {import("forknet").Network} */
  #network;
  #image;
  #dir;

  /**
   * @param {import("forknet").Network} network
   * @param {Image} image
   * @param {string} dir
   */
  constructor(network, image, dir) {
    this.#network = network;
    this.#image = image;
    this.#dir = dir;
  }

  /** Boots a new machine. @param {string} id @param {LimitsRequest} limits */
  create(id, limits) {
    return traced("vm.create", id, async () => {
      const allocation = await this.#allocate(id, limits);
      await this.#start(allocation, async (machine) => {
        const { ip, prefixLength, gateway, dns } = allocation;
        const given = { address: `${ip}/${prefixLength}`, gateway, dns: dns.join(",") };
        const words = Object.entries(given).map(([name, value]) => `forknet.${name}=${value}`);
        const commandLine = `${machine.commandLine} ${words.join(" ")}`;
        return Vm.boot({ ...machine, commandLine });
      });
      return allocation;
    });
  }

  /** Writes a machine to a snapshot and gives the machine and its identity up. @param {string} id */
  snapshot(id) {
    return traced("vm.snapshot", id, async () => {
      await this.#vm(id).save(this.#file(id, "snapshot"));
      await this.release(id);
    });
  }

  /**
   * A new machine out of a snapshot, with an identity of its own. What the snapshot sends under its
   * old one before it is told the new is dropped at the TAP.
   * @param {string} snapshot @param {string} id @param {LimitsRequest} limits
   */
  fork(snapshot, id, limits) {
    return traced("vm.fork", id, async () => {
      const startMs = performance.now();
      const since = () => performance.now() - startMs;
      const allocation = await this.#allocate(id, limits);
      const networkMs = since();
      const shaping = allocation.shaped.then(since);
      // Awaited below, when the machine runs: until then nobody would see it fail.
      shaping.catch(() => undefined);
      let restoredMs = 0;
      await this.#start(allocation, async (machine) => {
        const vm = await Vm.restore(machine, this.#file(snapshot, "snapshot"));
        restoredMs = since();
        await vm.resume();
        await vm.run(newIdentity(allocation));
        return vm;
      });
      const answeredMs = since();
      return { allocation, networkMs, shapedMs: await shaping, restoredMs, answeredMs };
    });
  }

  /** Puts a machine away: memory and identity are on disk, nothing runs. @param {string} id */
  standby(id) {
    return traced("vm.standby", id, async () => {
      await this.#vm(id).save(this.#file(id, "standby"));
      await this.#end(id);
      await this.#network.standbyAllocation(id);
    });
  }

  /** Goes on where standby stopped, under the same identity. @param {string} id */
  restore(id) {
    return traced("vm.restore", id, async () => {
      const allocation = await this.#network.recreateAllocation(id);
      await this.#start(allocation, async (machine) => {
        const vm = await Vm.restore(machine, this.#file(id, "standby"));
        await vm.resume();
        return vm;
      });
      rmSync(this.#file(id, "standby"));
      return allocation;
    });
  }

  /** Idempotent. @param {string} id */
  release(id) {
    return traced("vm.release", id, async () => {
      await this.#end(id);
      await this.#network.releaseAllocation(id);
      rmSync(this.#file(id, "standby"), { force: true });
    });
  }

  /** @param {string} id @param {string} command */
  run(id, command) {
    return this.#vm(id).run(command);
  }

  async close() {
    await Promise.all([...this.#running.keys()].map((id) => this.release(id)));
  }

  /** @param {string} id @param {LimitsRequest} limits */
  #allocate(id, { download = null, upload = null }) {
    return this.#network.createAllocation({ instanceId: id, instanceName: id, download, upload });
  }

  /**
   * A machine that does not come up takes its network with it.
   * @param {import("forknet").Allocation} allocation
   * @param {(machine: import("./qemu.mjs").Machine) => Promise<Vm>} bring
   */
  async #start({ instanceId, tap, mac }, bring) {
    const dir = join(this.#dir, instanceId);
    mkdirSync(dir, { recursive: true });
    try {
      const commandLine = "console=ttyS0 quiet panic=-1";
      this.#running.set(instanceId, await bring({ dir, tap, mac, commandLine, ...this.#image }));
    } catch (error) {
      await this.#network.releaseAllocation(instanceId);
      throw error;
    }
  }

  /** @param {string} id */
  async #end(id) {
    await this.#running.get(id)?.kill();
    this.#running.delete(id);
  }

  /** @param {string} id */
  #vm(id) {
    const vm = this.#running.get(id);
    if (!vm) throw new Error(`There is no running machine ${id}`);
    return vm;
  }

  /** @param {string} id @param {string} kind */
  #file(id, kind) {
    return join(this.#dir, `${id}.${kind}`);
  }
}

/** What the guest does to become another one; ends when the gateway has answered it. */
function newIdentity(
  /** @type {import("forknet").Allocation} */ { mac, ip, prefixLength, gateway },
) {
  return [
    "ip link set eth0 down",
    `ip link set eth0 address ${mac}`,
    "ip address flush dev eth0",
    `ip address add ${ip}/${prefixLength} dev eth0`,
    "ip link set eth0 up",
    `ip route add default via ${gateway}`,
    `until ping -c 1 -W 1 ${gateway}; do :; done`,
  ].join(" && ");
}
