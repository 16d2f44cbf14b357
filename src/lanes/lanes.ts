// The three lanes of a network and the workers behind them: what runs in which thread, how much in
// one call, and what is repeated after a thread died.

import { ForknetError, type KernelFailure } from "../errors.js";
import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Remains } from "../identity/stranded.js";
import { loadAddon } from "../kernel/addon.js";
import type { Counted, CountJob } from "../plans/count.js";
import type { ForgetJob } from "../plans/forget.js";
import type { Candidates } from "../plans/leftovers.js";
import type { MendJob } from "../plans/mend.js";
import type { Devices, Opened, OpenJob } from "../plans/open.js";
import type { ReapJob } from "../plans/reap.js";
import type { ShapeJob } from "../plans/shape.js";
import type { SlotSpec } from "../plans/slot.js";
import type { Survey, SurveyJob } from "../plans/survey.js";
import type { CreateCall } from "./create.worker.js";
import type { JobResult, LaneName } from "./job.js";
import { Lane, type LaneOptions } from "./lane.js";
import { type Late, makeJobs } from "./late.js";
import type { WorkerLost } from "./worker-lost.js";
import { WorkerThread } from "./worker-thread.js";

/**
 * Small, so that the first of a burst does not wait for the last; a call's own cost is a twentieth
 * of it.
 */
const SLOTS_PER_CALL = 8;
/**
 * Up to six messages each; the addon splits what is more than 128 into several sends. Between two
 * calls the worker waits 0.7 ms for the main thread, which is what shaping 30 guests takes.
 */
const SHAPES_PER_CALL = 128;
/**
 * A call costs 20 ms whatever it deletes (rcu_barrier, outside RTNL), and holds RTNL for 0.2 to 0.5
 * ms a TAP: a VMM's open of its TAP waits for that. bench/NOTES.md has the figures for 25, 34 and
 * 50.
 */
const REAPS_PER_CALL = 50;
/** All that wait are looked for in one list of the kernel's flows. */
const ADDRESSES_PER_CALL = 1024;
/** Some ten messages each at worst, and the limits of new forks wait behind them. */
const MENDS_PER_CALL = 4;
/**
 * Undone as a whole when it fails, so it is retried as a whole, too. Also after its thread died:
 * each of them takes over what an earlier one has left half done.
 */
interface WholeJob {
  method: Exclude<CreateCall["method"], "slots" | "port">;
  job: object;
}

type BeforeOpen = (isThere: boolean) => Promise<void>;

export interface LanesOptions {
  /** See Internals. */
  kernelModule?: string | undefined;
  heapMb?: number | undefined;
  onFailure: (lane: LaneName, failure: KernelFailure) => void;
  onLost: (worker: LaneName, error: WorkerLost) => void;
}

export class Lanes {
  readonly create: Lane<Late<SlotSpec>, number>;
  readonly shape: Lane<Late<ShapeJob>, undefined>;
  readonly reap: Lane<ReapJob, undefined>;
  /** In the shape lane's thread, beside its queue. */
  readonly mend: Lane<MendJob, undefined>;
  /** Flows of addresses that become free, in the reap lane's thread beside its queue. */
  readonly forget: Lane<ForgetJob, undefined>;
  /** Surveys, in the reap lane's thread beside its queue; the job is made when the worker has time. */
  readonly #look: Lane<Late<SurveyJob>, Survey>;
  /** Reads counters, in the reap lane's thread, too. */
  readonly #count: Lane<Late<CountJob>, Counted>;
  /** Jobs about the network as a whole: in the create lane's thread, beside its queue. */
  readonly #whole: Lane<WholeJob, unknown>;
  readonly #threads: Record<LaneName, WorkerThread>;
  readonly #ports = new Map<LaneName, number>();
  #facts: NetworkFacts | undefined;
  /** Called with the ports of the threads' sockets when a thread was started again. */
  onPorts: ((ports: readonly number[]) => void) | undefined;

  constructor({ onFailure, onLost, ...seams }: LanesOptions) {
    const thread = (name: LaneName) =>
      new WorkerThread({
        ...seams,
        name,
        file: new URL(`./${name}.worker.js`, import.meta.url),
        onPort: (port) => {
          this.#ports.set(name, port);
          this.onPorts?.(this.ports);
        },
        onLost: (error) => onLost(name, error),
      });
    this.#threads = { create: thread("create"), shape: thread("shape"), reap: thread("reap") };
    const options = (lane: LaneName, maxBatch: number): LaneOptions => ({
      maxBatch,
      afterTurn: lane === "reap",
      isRepeatable: true,
      onFailure: (failure: KernelFailure) => onFailure(lane, failure),
    });
    this.create = new Lane((jobs) => this.#late("create", "slots", jobs), {
      ...options("create", SLOTS_PER_CALL),
      // A TAP of its name may be there: whoever asked for it has to wipe it away first.
      isRepeatable: false,
    });
    this.shape = new Lane(
      (jobs) => this.#late("shape", "shape", jobs),
      options("shape", SHAPES_PER_CALL),
    );
    this.reap = new Lane(
      (jobs) => this.#run("reap", { method: "reap", jobs, facts: this.#known() }),
      options("reap", REAPS_PER_CALL),
    );
    this.forget = new Lane(
      (jobs) => this.#run("reap", { method: "forget", jobs }),
      options("reap", ADDRESSES_PER_CALL),
    );
    this.mend = new Lane(
      (jobs) => this.#run("shape", { method: "mend", jobs, facts: this.#known() }),
      options("shape", MENDS_PER_CALL),
    );
    this.#look = new Lane((jobs) => this.#late("reap", "survey", jobs), options("reap", 1));
    this.#count = new Lane((jobs) => this.#late("reap", "count", jobs), options("reap", 1));
    this.#whole = new Lane(
      ([one]) => {
        const { method, job } = one as WholeJob;
        return this.#run("create", { method, jobs: [job] });
      },
      options("create", 1),
    );
  }

  /** Of the threads' sockets: what these cause is no change from outside. */
  get ports(): readonly number[] {
    return [...this.#ports.values()];
  }

  /**
   * Starts the threads, and opens the network in the create lane's. `before` runs when nothing
   * stands in the network's way; it is told whether something of the network is there already.
   */
  async open(job: OpenJob, before?: BeforeOpen): Promise<Opened> {
    // All of them first: a network that has no thread to delete with must not be made.
    await Promise.all(Object.values(this.#threads).map((thread) => thread.start()));
    const opened = await this.#checkedOpen(job, before);
    this.#facts = opened.facts;
    return opened;
  }

  async #checkedOpen(job: OpenJob, before?: BeforeOpen): Promise<Opened> {
    if (before) await before(await this.#one<boolean>("check", job));
    for (;;) {
      const opened = await this.#one<Opened>("open", job);
      const { maps, programs } = opened.facts;
      // A thread that died after it answered took them along: the next one opens them again.
      if (loadAddon().takeOver([...Object.values(maps), ...Object.values(programs)])) return opened;
    }
  }

  /** Compares with what is in the kernel, between two calls of the reap lane. */
  async survey(make: (facts: NetworkFacts) => SurveyJob): Promise<Survey> {
    return (await this.#look.submit(() => make(this.#known())).done).value;
  }

  /** Reads the counters of guests, between two calls of the reap lane; tells when that was. */
  async count(
    make: (facts: NetworkFacts) => CountJob,
  ): Promise<{ value: Counted; endedMs: number }> {
    const { value, time } = await this.#count.submit(() => make(this.#known())).done;
    return { value, endedMs: time.endedMs };
  }

  /**
   * What of this is there and ours, told between two calls of the create lane: what a survey saw half
   * made has become a slot by then, and is known, or is gone.
   */
  async confirm(subnet: Subnet, candidates: Candidates): Promise<Candidates> {
    return this.#one("confirm", { facts: this.#known(), subnet, ...candidates });
  }

  /**
   * Takes away what a slot whose worker died may have left; whether that was a TAP. The job that
   * made it is over.
   */
  wipe(subnet: Subnet, remains: Remains): Promise<boolean> {
    return this.#one("wipe", { facts: this.#known(), subnet, remains });
  }

  /** Makes bridge and shaper anew where they are gone; from then on the facts name the new ones. */
  async restore(job: OpenJob): Promise<void> {
    const facts = this.#known();
    Object.assign(facts, await this.#one<Devices>("restore", { ...job, facts }));
  }

  /** Removes shaper and bridge, and TAPs that could not be deleted before. */
  destroy(subnet: Subnet): Promise<void> {
    return this.#one("destroy", { facts: this.#known(), subnet });
  }

  /** Waits until nothing is queued or running. */
  async idle(): Promise<void> {
    const { create, shape, reap, forget, mend } = this;
    const lanes = [create, shape, reap, forget, mend, this.#look, this.#count, this.#whole];
    while (lanes.some(({ depth }) => depth > 0)) {
      await Promise.all(lanes.map((lane) => lane.idle()));
    }
  }

  /** Ends the threads. */
  async stop(): Promise<void> {
    await Promise.all(Object.values(this.#threads).map((thread) => thread.stop()));
  }

  async #one<Value>(method: WholeJob["method"], job: object): Promise<Value> {
    return (await this.#whole.submit({ method, job }).done).value as Value;
  }

  async #run<Value>(worker: LaneName, call: object): Promise<JobResult<Value>[]> {
    return this.#threads[worker].run<Value>(call);
  }

  async #late<Value>(
    worker: LaneName,
    method: string,
    late: readonly Late<object>[],
  ): Promise<JobResult<Value>[]> {
    const facts = this.#known();
    return makeJobs(late, (jobs) => this.#run<Value>(worker, { method, jobs, facts }));
  }

  #known(): NetworkFacts {
    if (!this.#facts) throw new ForknetError("ERR_FORKNET_CLOSED", "the network is not open");
    return this.#facts;
  }
}
