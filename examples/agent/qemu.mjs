// One virtual machine: QEMU on a TAP that forknet made, its monitor (QMP), and a channel to the agent
// inside the guest, which runs one command a line. Knows nothing of forknet.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 10;
const SOCKET_MS = 10_000;
const BOOT_MS = 120_000;
const COMMAND_MS = 60_000;
const UNLIMITED_BYTES_PER_SECOND = 2 ** 40;

/**
 * @typedef {object} Machine
 * @property {string} dir for its sockets and its console's log; must exist
 * @property {string} tap
 * @property {string} mac
 * @property {string} kernel
 * @property {string} initramfs
 * @property {string} commandLine of the kernel
 * @property {number} [memoryMiB] default 128
 */

/** A socket on which lines come and go. */
class Lines {
  /** @type {string[]} */
  #arrived = [];
  /** @type {{ resolve(line: string): void, reject(error: Error): void } | undefined} */
  #reader;
  /** @type {Error | undefined} */
  #ended;

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.socket = socket;
    const lines = createInterface({ input: socket });
    // The interface hands on the socket's errors; "close" tells all.
    lines.on("error", () => socket.destroy());
    lines.on("line", (line) => {
      if (this.#reader) this.#reader.resolve(line);
      else this.#arrived.push(line);
      this.#reader = undefined;
    });
    socket.on("close", () => this.#end(new Error("the virtual machine has ended")));
  }

  /** @param {string} line */
  write(line) {
    this.socket.write(`${line}\n`);
  }

  /** The next line; ends the connection when it takes longer. @returns {Promise<string>} */
  async next(/** @type {number} */ timeoutMs) {
    const line = this.#arrived.shift();
    if (line !== undefined) return line;
    if (this.#ended) throw this.#ended;
    const timer = setTimeout(() => {
      this.#end(new Error(`no answer of the virtual machine within ${timeoutMs} ms`));
      this.socket.destroy();
    }, timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        this.#reader = { resolve, reject };
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {Error} error */
  #end(error) {
    this.#ended ??= error;
    this.#reader?.reject(this.#ended);
    this.#reader = undefined;
  }
}

export class Vm {
  /** @type {import("node:child_process").ChildProcess} */
  #process;
  /** @type {Lines} */
  #monitor;
  /** @type {Lines} */
  #agent;
  /** Monitor and agent answer in order: one question at a time each. @type {Promise<unknown>} */
  #monitorTurn = Promise.resolve();
  /** @type {Promise<unknown>} */
  #agentTurn = Promise.resolve();

  /**
   * @param {import("node:child_process").ChildProcess} child
   * @param {Lines} monitor
   * @param {Lines} agent
   */
  constructor(child, monitor, agent) {
    this.#process = child;
    this.#monitor = monitor;
    this.#agent = agent;
  }

  /** Resolves when the agent in the guest answers. @param {Machine} machine */
  static async boot(machine) {
    const vm = await Vm.#start(machine, []);
    await vm.run("true", BOOT_MS);
    return vm;
  }

  /** A guest that was saved; it stands still until `resume`. @param {Machine} machine */
  static async restore(machine, /** @type {string} */ file) {
    const vm = await Vm.#start(machine, ["-incoming", `exec:cat '${file}'`]);
    while ((await vm.monitor("query-status")).status === "inmigrate") await sleep(POLL_MS);
    return vm;
  }

  /** @param {Machine} machine @param {string[]} more */
  static async #start({ dir, tap, mac, kernel, initramfs, commandLine, memoryMiB = 128 }, more) {
    const monitorPath = join(dir, "monitor.sock");
    const agentPath = join(dir, "agent.sock");
    const args = [
      "-nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max",
      `-m ${memoryMiB} -serial file:${join(dir, "console.log")}`,
      `-qmp unix:${monitorPath},server=on,wait=off`,
      `-device virtio-serial-pci -chardev socket,id=agent,path=${agentPath},server=on,wait=off`,
      "-device virtserialport,chardev=agent,name=forknet.agent",
      `-netdev tap,id=net,ifname=${tap},script=no,downscript=no`,
      `-device virtio-net-pci,netdev=net,mac=${mac},romfile=`,
      `-kernel ${kernel} -initrd ${initramfs}`,
    ];
    const all = [...args.flatMap((part) => part.split(" ")), "-append", commandLine, ...more];
    const child = spawn("qemu-system-x86_64", all, { stdio: ["ignore", "ignore", "pipe"] });
    let complaint = "";
    child.stderr?.on("data", (text) => {
      complaint += text;
    });
    child.on("error", (error) => {
      complaint += error.message;
    });
    try {
      const monitor = await open(child, monitorPath);
      await monitor.next(SOCKET_MS); // The greeting.
      const vm = new Vm(child, monitor, await open(child, agentPath));
      await vm.monitor("qmp_capabilities");
      return vm;
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`QEMU on ${tap}: ${complaint.trim() || error}`, { cause: error });
    }
  }

  /** Runs a line of shell in the guest: what it printed. Throws when it fails. */
  async run(/** @type {string} */ command, timeoutMs = COMMAND_MS) {
    const { status, output } = await this.try(command, timeoutMs);
    if (status !== 0) throw new Error(`${command}: exit ${status}: ${output}`);
    return output;
  }

  /**
   * The same with its exit status.
   * @returns {Promise<{ status: number, output: string }>}
   */
  try(/** @type {string} */ command, timeoutMs = COMMAND_MS) {
    const answer = this.#agentTurn.then(async () => {
      this.#agent.write(command);
      const lines = [];
      for (;;) {
        const line = await this.#agent.next(timeoutMs);
        const [, text, status] = /^(.*)#done (\d+)$/.exec(line) ?? [];
        lines.push(text ?? line);
        if (status !== undefined)
          return { status: Number(status), output: lines.join("\n").trim() };
      }
    });
    this.#agentTurn = answer.catch(() => undefined);
    return answer;
  }

  /** A command of QEMU's monitor. @returns {Promise<any>} */
  monitor(/** @type {string} */ execute, /** @type {object} */ args = {}) {
    const answer = this.#monitorTurn.then(async () => {
      this.#monitor.write(JSON.stringify({ execute, arguments: args }));
      for (;;) {
        const reply = JSON.parse(await this.#monitor.next(COMMAND_MS));
        if (reply.error) throw new Error(`${execute}: ${reply.error.desc}`);
        // Events come in between.
        if ("return" in reply) return reply.return;
      }
    });
    this.#monitorTurn = answer.catch(() => undefined);
    return answer;
  }

  /** Stops the guest and writes all of it to a file. */
  async save(/** @type {string} */ file) {
    await this.monitor("stop");
    await this.monitor("migrate-set-parameters", { "max-bandwidth": UNLIMITED_BYTES_PER_SECOND });
    await this.monitor("migrate", { uri: `exec:cat > '${file}'` });
    for (;;) {
      const { status, ...rest } = await this.monitor("query-migrate");
      if (status === "completed") return;
      if (status === "failed") throw new Error(`saving failed: ${rest["error-desc"]}`);
      await sleep(POLL_MS);
    }
  }

  async resume() {
    await this.monitor("cont");
  }

  /** Ends QEMU and with it the guest. Idempotent. */
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}

/** QEMU makes its sockets a moment after it was started. */
async function open(
  /** @type {import("node:child_process").ChildProcess} */ child,
  /** @type {string} */ path,
) {
  const until = performance.now() + SOCKET_MS;
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, "connect");
      return new Lines(socket);
    } catch (error) {
      if (child.exitCode !== null || performance.now() > until) throw error;
      await sleep(POLL_MS);
    }
  }
}
