// Where a command works: one network, found by its bridge, its state directory or by being the only
// one; and who answers for it: the agent that holds it, else the kernel.

import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { ControlClient, NoAnswer } from "../control/client.js";
import { formerOptions } from "../control/former-options.js";
import { guestIn } from "../control/handlers.js";
import { LineReader, type MethodName, type Methods, SOCKET_NAME } from "../control/protocol.js";
import type { NetworkStatus } from "../control/status.js";
import { ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import { createKernel, type Kernel } from "../kernel/kernel.js";
import { openNetwork } from "../open.js";
import { defaultStateDir } from "../options.js";
import { lockName } from "../process-lock.js";
import type { VerifyDifference, VerifyWarning } from "../reconcile/verify.js";
import { chooseNetwork } from "./kernel-networks.js";
import { kernelStatus } from "./kernel-status.js";
import { kernelDifferences } from "./kernel-verify.js";

/** Options that every command about a network has. */
export interface SiteOptions {
  bridge?: string;
  stateDir?: string;
  /** Seconds. */
  timeout?: number;
}

/** A verification, and who made it; what only an agent knows is null. */
export interface SiteVerify {
  compared: number;
  differences: VerifyDifference[];
  warnings: VerifyWarning[];
  unclassified: number | null;
  directPackets: number | null;
  source: "agent" | "kernel";
  notes: string[];
}

interface Holder {
  /** 0 when it does not say. */
  pid: number;
  stateDir?: string;
}

const VISIT_MS = 1000;
const READ_MS = 5000;
/** A release waits for the kernel's grace periods, a reconcile for a hundred repairs. */
const CHANGE_MS = 120_000;
const LONGEST_GREETING_BYTES = 8192;

export class Site {
  readonly bridge: string;
  readonly stateDir: string;
  /** What others hold of the network; undefined when nobody does. */
  readonly #holder: Holder | undefined;
  readonly #client: ControlClient | undefined;
  /** Why the holder cannot be asked. */
  readonly #obstacle: NodeJS.ErrnoException | undefined;
  readonly #options: SiteOptions;
  #kernel: Kernel | undefined;

  private constructor(
    place: { bridge: string; stateDir: string },
    holder: Holder | undefined,
    way: ControlClient | NodeJS.ErrnoException,
    options: SiteOptions,
  ) {
    this.bridge = place.bridge;
    this.stateDir = place.stateDir;
    this.#holder = holder;
    if (way instanceof ControlClient) this.#client = way;
    else this.#obstacle = way;
    this.#options = options;
  }

  /** Rejects with NOT_FOUND, and with CONFIG when there are several and none was named. */
  static async find(options: SiteOptions): Promise<Site> {
    const way = options.stateDir === undefined ? undefined : await reach(options.stateDir);
    if (options.stateDir !== undefined && way instanceof ControlClient) {
      const { stateDir } = options;
      try {
        const bridge = await bridgeOf(way, options);
        return new Site({ bridge, stateDir }, await visit(bridge), way, options);
      } catch (error) {
        way.close();
        throw error;
      }
    }
    const { bridge } = chooseNetwork(createKernel(), options.bridge);
    const holder = await visit(bridge);
    const stateDir = options.stateDir ?? holder?.stateDir ?? defaultStateDir(bridge);
    return new Site({ bridge, stateDir }, holder, way ?? (await reach(stateDir)), options);
  }

  /** From the agent; from the kernel, with a note that says why, when there is none to ask. */
  async status(): Promise<NetworkStatus> {
    try {
      if (this.#client)
        return await this.#client.ask("status", {}, timeoutOf(this.#options, READ_MS));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return this.#fromKernel(this.#silence);
    }
    return this.#fromKernel(
      this.#holder
        ? this.#unreachable().message
        : `no process has the network on ${this.bridge} open`,
    );
  }

  /** Compared by the agent, else with what the leases say. Rejects with NOT_FOUND. */
  async verify(instanceId: string | undefined): Promise<SiteVerify> {
    const params = instanceId === undefined ? {} : { instanceId };
    if (this.#client) {
      const report = await this.ask("verify", params);
      // An agent of an earlier release tells none.
      const warnings = (report.warnings as VerifyWarning[] | undefined) ?? [];
      return { ...report, warnings, source: "agent", notes: [] };
    }
    const status = await this.status();
    if (instanceId !== undefined) guestIn(status, instanceId);
    const kernel = this.#ownKernel();
    const network = chooseNetwork(kernel, this.bridge);
    const { notes, ...found } = kernelDifferences(kernel, network, instanceId);
    const note = "compared is what the leases say; the agent compares more";
    const unclassified = status.drops?.unclassified ?? null;
    const unknown = { unclassified, directPackets: null, source: "kernel" as const };
    return { ...found, ...unknown, notes: [status.notes[0] as string, note, ...notes] };
  }

  /** Asks the agent; CONFLICT or PERMISSION when there is one that cannot be asked. */
  async ask<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    if (!this.#client) throw this.#unreachable();
    return this.#asked(this.#client, method, params);
  }

  /** True when a process has the network open, whether it answers or not. */
  get isHeld(): boolean {
    return this.#client !== undefined || this.#holder !== undefined;
  }

  /** The agent does it; with none, this process opens the network as it was, and closes it after. */
  async change<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    if (this.isHeld) return this.ask(method, params);
    const network = await openNetwork(formerOptions(this.stateDir, this.bridge));
    const way = await reach(this.stateDir);
    try {
      if (!(way instanceof ControlClient)) throw this.#unreachable();
      return await this.#asked(way, method, params);
    } finally {
      if (way instanceof ControlClient) way.close();
      await network.close();
    }
  }

  close(): void {
    this.#client?.close();
  }

  async #asked<Name extends MethodName>(
    client: ControlClient,
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    try {
      return await client.ask(method, params, timeoutOf(this.#options, CHANGE_MS));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const text = `${this.#silence}; what was asked for may still be done`;
      throw conflict(text, this.#pid);
    }
  }

  #fromKernel(note: string): NetworkStatus {
    const kernel = this.#ownKernel();
    const status = kernelStatus(kernel, chooseNetwork(kernel, this.bridge), this.stateDir);
    const holder = this.#pid === undefined ? null : { pid: this.#pid, version: null };
    return { ...status, holder, notes: [note, ...status.notes] };
  }

  #unreachable(): ForknetError {
    if (this.#holder && !this.#holder.stateDir) return conflict(this.#silence, this.#pid);
    const { code } = this.#obstacle ?? {};
    const socket = join(this.stateDir, SOCKET_NAME);
    const who = `${named(this.#pid)} has the network on ${this.bridge} open`;
    if (code === "EACCES" || code === "EPERM") {
      const text = `${who}, and ${socket} may not be used by this user: run the command as the agent's user or as root`;
      return new ForknetError("ERR_FORKNET_PERMISSION", text);
    }
    const text = `${who} and does not listen at ${socket} (${code}): say where with --state-dir`;
    return conflict(text, this.#pid);
  }

  get #silence(): string {
    return `${named(this.#pid)} has the network on ${this.bridge} open and does not answer`;
  }

  /** undefined when nobody holds it, 0 when it is not known who does. */
  get #pid(): number | undefined {
    if (!this.isHeld) return undefined;
    if (this.#holder?.pid) return this.#holder.pid;
    try {
      return Number(readFileSync(join(this.stateDir, "lock"), "utf8")) || 0;
    } catch {
      return 0;
    }
  }

  #ownKernel(): Kernel {
    this.#kernel ??= createKernel();
    return this.#kernel;
  }
}

function conflict(text: string, pid: number | undefined): ForknetError {
  return new ForknetError("ERR_FORKNET_CONFLICT", text, pid ? { holderPid: pid } : {});
}

function named(pid: number | undefined): string {
  return pid ? `process ${pid}` : "another process";
}

/** The bridge of the agent at a state directory; when it says nothing, of the only network here. */
async function bridgeOf(agent: ControlClient, options: SiteOptions): Promise<string> {
  try {
    const { bridge } = await agent.ask("status", {}, timeoutOf(options, READ_MS));
    if (options.bridge === undefined || options.bridge === bridge) return bridge;
    const text = `the agent at ${options.stateDir} holds the network on ${bridge}, not on ${options.bridge}`;
    throw new ForknetError("ERR_FORKNET_CONFIG", text);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return options.bridge ?? chooseNetwork(createKernel(), undefined).bridge;
  }
}

function timeoutOf({ timeout }: SiteOptions, otherwiseMs: number): number {
  return timeout === undefined ? otherwiseMs : timeout * 1000;
}

/** Node's error when there is no way. */
async function reach(stateDir: string): Promise<ControlClient | NodeJS.ErrnoException> {
  try {
    return await ControlClient.connect(join(stateDir, SOCKET_NAME));
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

/** Who holds the lock of a bridge says so to every visitor. undefined when nobody holds it. */
async function visit(bridge: string): Promise<Holder | undefined> {
  const visited = loadAddon().visitAbstract(lockName(bridge));
  if (!visited) return undefined;
  const { fd, holder } = visited;
  const socket = new Socket({ fd });
  const timer = setTimeout(() => socket.destroy(), VISIT_MS);
  const reader = new LineReader(LONGEST_GREETING_BYTES);
  const lines: string[] = [];
  try {
    for await (const chunk of socket) lines.push(...reader.push(chunk as Buffer));
    const { stateDir } = JSON.parse(lines[0] ?? "{}") as Record<string, unknown>;
    return { pid: holder, ...(typeof stateDir === "string" ? { stateDir } : {}) };
  } catch {
    // It hangs, or is of a version that says nothing.
    return { pid: holder };
  } finally {
    clearTimeout(timer);
  }
}
