// The demo's host agent: a process of its own, so that it can be killed. It uses the package as any
// agent would and answers its parent over IPC.

import { monotonicMs } from "../clock.js";
import { type Allocation, type Network, type NetworkOptions, openNetwork } from "../index.js";

/** One fork as the agent saw it, counted from the moment all were asked for. */
export interface ForkReport {
  allocation: Omit<Allocation, "shaped">;
  forkMs: number;
  shapedMs: number;
}

type Plain = Omit<Allocation, "shaped">;

/** What the agent can be asked. */
export interface AgentCommands {
  open(options: NetworkOptions): Promise<{ openMs: number; adopted: Plain[] }>;
  fork(requests: Parameters<Network["createAllocation"]>[0][]): Promise<ForkReport[]>;
  standby(instanceId: string): Promise<Plain>;
  recreate(instanceId: string): Promise<Plain>;
  releaseAll(): Promise<{ count: number; releaseMs: number }>;
  drops(): Promise<ReturnType<Network["drops"]>>;
  destroy(): Promise<void>;
}

/** Shown in the parent's messages; the class of the error does not cross processes. */
interface Answer {
  id: number;
  value?: unknown;
  error?: { message: string };
}

let network: Network | undefined;
const plain = (allocation: Allocation | undefined) =>
  JSON.parse(JSON.stringify(allocation ?? null)) as Plain;
const opened = () => {
  if (!network) throw new Error("the agent has no open network");
  return network;
};

const commands: AgentCommands = {
  async open(options) {
    const startedMs = monotonicMs();
    network = await openNetwork(options);
    return { openMs: monotonicMs() - startedMs, adopted: network.listAllocations().map(plain) };
  },
  async fork(requests) {
    const startedMs = monotonicMs();
    return Promise.all(
      requests.map(async (request) => {
        const allocation = await opened().createAllocation(request);
        const forkMs = monotonicMs() - startedMs;
        await allocation.shaped;
        return { allocation: plain(allocation), forkMs, shapedMs: monotonicMs() - startedMs };
      }),
    );
  },
  async standby(instanceId) {
    await opened().standbyAllocation(instanceId);
    return plain(opened().getAllocation(instanceId));
  },
  async recreate(instanceId) {
    return plain(await opened().recreateAllocation(instanceId));
  },
  async releaseAll() {
    const startedMs = monotonicMs();
    const all = opened().listAllocations();
    await Promise.all(all.map(({ instanceId }) => opened().releaseAllocation(instanceId)));
    return { count: all.length, releaseMs: monotonicMs() - startedMs };
  },
  async drops() {
    return opened().drops();
  },
  async destroy() {
    await opened().destroy();
  },
};

interface Question {
  id: number;
  name: keyof AgentCommands;
  argument: never;
}

async function answer({ id, name, argument }: Question): Promise<void> {
  let reply: Answer;
  try {
    reply = { id, value: await commands[name](argument) };
  } catch (error) {
    reply = { id, error: { message: (error as Error).message } };
  }
  process.send?.(reply);
}

process.on("message", (question: Question) => void answer(question));
// An agent whose parent is gone has nobody to work for.
process.on("disconnect", () => process.exit(0));
