// Where a command works: one network, found by its bridge, its state directory or by being the only
// one; and who answers for it: the agent that holds it, else the kernel.

import { join } from "node:path";
import { type ControlClient, NoAnswer } from "../control/client.js";
import { formerOptions } from "../control/former-options.js";
import { guestIn } from "../control/handlers.js";
import { type MethodName, type Methods, SOCKET_NAME } from "../control/protocol.js";
import type { NetworkStatus } from "../control/status.js";
import { ForknetError } from "../errors.js";
import { createKernel, type Kernel } from "../kernel/kernel.js";
import { openWith } from "../open.js";
import { defaultStateDir } from "../options.js";
import type { VerifyDifference, VerifyWarning } from "../reconcile/verify.js";
import { AgentPlace } from "./agent-place.js";
import { type Holder, type Visit, visit } from "./holder.js";
import { chooseNetwork } from "./kernel-networks.js";
import { kernelStatus } from "./kernel-status.js";
import { kernelDifferences } from "./kernel-verify.js";

/** Options that every command about a network has. */
export interface SiteOptions {
  bridge?: string;
  stateDir?: string;
  /** Seconds. */
  timeout?: number;
  /** Nothing but one JSON object is printed. */
  json?: boolean;
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

const READ_MS = 5000;
/** A release waits for the kernel's grace periods, a reconcile for a hundred repairs. */
const CHANGE_MS = 120_000;

export class Site {
  readonly bridge: string;
  readonly #place: AgentPlace;
  /** Who holds the network; undefined when nobody does. */
  readonly #holder: Holder | undefined;
  /** About somebody who claims to. */
  readonly #warnings: string[];
  readonly #options: SiteOptions;
  #kernel: Kernel | undefined;

  private constructor(
    bridge: string,
    place: AgentPlace,
    { holder, warning }: Visit,
    options: SiteOptions,
  ) {
    this.bridge = bridge;
    this.#place = place;
    this.#holder = holder;
    this.#warnings = warning === undefined ? [] : [warning];
    if (holder) place.distrustUnless(holder);
    this.#options = options;
  }

  /** Rejects with NOT_FOUND, and with CONFIG when there are several and none was named. */
  static async find(options: SiteOptions): Promise<Site> {
    const named = options.stateDir === undefined ? undefined : new AgentPlace(options.stateDir);
    try {
      const bridge = named?.client
        ? await bridgeOf(named.client, options)
        : chooseNetwork(createKernel(), options.bridge).bridge;
      const found = await visit(bridge, options.stateDir);
      const place = named ?? new AgentPlace(found.holder?.stateDir ?? defaultStateDir(bridge));
      return new Site(bridge, place, found, options);
    } catch (error) {
      named?.close();
      throw error;
    }
  }

  /** From the agent; from the kernel, with a note that says why, when there is none to ask. */
  async status(): Promise<NetworkStatus> {
    const { notes, ...status } = await this.#status();
    return { ...status, notes: [...notes, ...this.#warnings] };
  }

  async #status(): Promise<NetworkStatus> {
    try {
      if (this.#place.client)
        return await this.#place.client.ask("status", {}, timeoutOf(this.#options, READ_MS));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return this.#fromKernel(this.#silence);
    }
    return this.#fromKernel(
      this.isHeld
        ? this.#unreachable().message
        : `no process has the network on ${this.bridge} open`,
    );
  }

  /** Compared by the agent, else with what the leases say. Rejects with NOT_FOUND. */
  async verify(instanceId: string | undefined): Promise<SiteVerify> {
    const params = instanceId === undefined ? {} : { instanceId };
    if (this.#place.client) {
      const report = await this.ask("verify", params);
      // An agent of an earlier release tells none.
      const warnings = (report.warnings as VerifyWarning[] | undefined) ?? [];
      return { ...report, warnings, source: "agent", notes: this.#warnings };
    }
    const status = await this.#status();
    if (instanceId !== undefined) guestIn(status, instanceId);
    const kernel = this.#ownKernel();
    const network = chooseNetwork(kernel, this.bridge);
    const { notes, ...found } = kernelDifferences(kernel, network, instanceId);
    const note = "compared is what the leases say; the agent compares more";
    const unclassified = status.drops?.unclassified ?? null;
    const unknown = { unclassified, directPackets: null, source: "kernel" as const };
    const all = [status.notes[0] as string, note, ...notes, ...this.#warnings];
    return { ...found, ...unknown, notes: all };
  }

  /** Asks the agent; CONFLICT or PERMISSION when there is one that cannot be asked. */
  async ask<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    if (!this.#place.client) throw this.#unreachable();
    return this.#asked(this.#place.client, method, params);
  }

  /** True when a process has the network open, whether it answers or not. */
  get isHeld(): boolean {
    const { client, obstacle } = this.#place;
    // Somebody listens, and lets nobody in.
    return client !== undefined || this.#holder !== undefined || obstacle?.code === "EAGAIN";
  }

  /** The agent does it; with none, this process opens the network as it was, and closes it after. */
  async change<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    if (!this.#options.json)
      for (const warning of this.#warnings) process.stderr.write(`forknet: ${warning}\n`);
    if (this.isHeld) return this.ask(method, params);
    const { stateDir, directory, obstacle } = this.#place;
    if (obstacle instanceof ForknetError) throw obstacle;
    const options = formerOptions(directory, stateDir, this.bridge);
    const network = await openWith(options, { trustsOwner: true });
    const own = new AgentPlace(stateDir);
    try {
      if (!own.client) throw this.#unreachable();
      return await this.#asked(own.client, method, params);
    } finally {
      own.close();
      await network.close();
    }
  }

  close(): void {
    this.#place.close();
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
    const status = kernelStatus(kernel, chooseNetwork(kernel, this.bridge), this.#place);
    const holder = this.#pid === undefined ? null : { pid: this.#pid, version: null };
    return { ...status, holder, notes: [note, ...status.notes] };
  }

  #unreachable(): ForknetError {
    if (this.#holder?.isSilent) return conflict(this.#silence, this.#pid);
    const { obstacle, stateDir } = this.#place;
    if (obstacle instanceof ForknetError) return obstacle;
    const { code } = obstacle ?? {};
    const socket = join(stateDir, SOCKET_NAME);
    const who = `${named(this.#pid)} has the network on ${this.bridge} open`;
    if (code === "EACCES" || code === "EPERM") {
      const text = `${who}, and ${socket} may not be used by this user: run the command as the agent's user or as root`;
      return new ForknetError("ERR_FORKNET_PERMISSION", text);
    }
    if (code === "EAGAIN") {
      const text = `${who}, and more wait at ${socket} than it lets in: it hangs, or is asked too much`;
      return conflict(text, this.#pid);
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
    return this.#place.lockedBy;
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
