// The three lanes of a network and the worker threads behind them. The only file that knows
// Piscina.

import { Piscina } from "piscina";
import { errorFromFailure, ForknetError, type KernelFailure } from "../errors.js";
import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { Counted, CountJob } from "../plans/count.js";
import type { Candidates } from "../plans/leftovers.js";
import type { MendJob } from "../plans/mend.js";
import type { Devices, Opened, OpenJob } from "../plans/open.js";
import type { ReapJob } from "../plans/reap.js";
import type { ShapeJob } from "../plans/shape.js";
import type { SlotSpec } from "../plans/slot.js";
import type { Survey, SurveyJob } from "../plans/survey.js";
import type { CreateCall } from "./create.worker.js";
import type { JobResult } from "./job.js";
import { Lane } from "./lane.js";

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
/** A worker's first call costs 50 ms, so workers are kept for as long as the network is open. */
const FOREVER = 0x7fffffff;
/**
 * Of what a worker's call allocates nothing outlives it. V8 would let it grow to 48 MB before it
 * collects: 16 MB of memory in three workers after a thousand forks.
 */
const YOUNG_GENERATION_MB = 2;

/** Undone as a whole when it fails, so it is retried as a whole, too. */
interface WholeJob {
  method: Exclude<CreateCall["method"], "slots" | "port">;
  job: object;
}

/**
 * Made only when the worker is called: the fork that asks for it does not wait for it, a thousand
 * that wait do not hold theirs, and it knows the latest. Made again for every attempt.
 */
export type Late<Job> = () => Job;

export type LaneName = "create" | "shape" | "reap";

export class Lanes {
  readonly create: Lane<Late<SlotSpec>, number>;
  readonly shape: Lane<Late<ShapeJob>, undefined>;
  readonly reap: Lane<ReapJob, undefined>;
  /** In the shape lane's thread, beside its queue. */
  readonly mend: Lane<MendJob, undefined>;
  /** Flows of addresses that become free, in the reap lane's thread beside its queue. */
  readonly forget: Lane<Ipv4, undefined>;
  /** Surveys, in the reap lane's thread beside its queue; the job is made when the worker has time. */
  readonly #look: Lane<Late<SurveyJob>, Survey>;
  /** Reads counters, in the reap lane's thread, too. */
  readonly #count: Lane<Late<CountJob>, Counted>;
  /** Jobs about the network as a whole: in the create lane's thread, beside its queue. */
  readonly #whole: Lane<WholeJob, unknown>;
  readonly #pools: Record<LaneName, Piscina>;
  readonly #kernelModule: string | undefined;
  #facts: NetworkFacts | undefined;
  /** Of the threads' sockets: what these cause is no change from outside. */
  ports: readonly number[] = [];

  constructor(
    kernelModule: string | undefined,
    onFailure: (lane: LaneName, failure: KernelFailure) => void,
  ) {
    this.#kernelModule = kernelModule;
    this.#pools = { create: thread("create"), shape: thread("shape"), reap: thread("reap") };
    const options = (lane: LaneName, maxBatch: number) => ({
      maxBatch,
      afterTurn: lane === "reap",
      onFailure: (failure: KernelFailure) => onFailure(lane, failure),
    });
    this.create = new Lane(
      (jobs) => this.#run("create", { method: "slots", jobs: made(jobs), facts: this.#known() }),
      options("create", SLOTS_PER_CALL),
    );
    this.shape = new Lane(
      (jobs) => this.#run("shape", { method: "shape", jobs: made(jobs), facts: this.#known() }),
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
    this.#look = new Lane(
      (jobs) => this.#run("reap", { method: "survey", jobs: made(jobs) }),
      options("reap", 1),
    );
    this.#count = new Lane(
      (jobs) => this.#run("reap", { method: "count", jobs: made(jobs) }),
      options("reap", 1),
    );
    this.#whole = new Lane(
      ([one]) => {
        const { method, job } = one as WholeJob;
        return this.#run("create", { method, jobs: [job] });
      },
      options("create", 1),
    );
  }

  /**
   * Opens the network in the create lane's thread, and starts the other threads meanwhile. `before`
   * runs when nothing stands in the network's way, and nothing of it has been made.
   */
  async open(job: OpenJob, before?: () => Promise<void>): Promise<Opened> {
    const others = Promise.all([this.#port("shape"), this.#port("reap")]);
    const opening = this.#checkedOpen(job, before);
    // Also when it fails: a thread that is stopped while it loads its modules leaves a file
    // descriptor open.
    await Promise.allSettled([opening, others]);
    const ports = await others;
    const opened = await opening;
    this.ports = [...ports, await this.#port("create")];
    this.#facts = opened.facts;
    return opened;
  }

  async #checkedOpen(job: OpenJob, before?: () => Promise<void>): Promise<Opened> {
    if (before) {
      await this.#one("check", job);
      await before();
    }
    return this.#one<Opened>("open", job);
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
    const lanes = [create, shape, reap, forget, mend, this.#look, this.#count];
    while (lanes.some(({ depth }) => depth > 0)) {
      await Promise.all(lanes.map((lane) => lane.idle()));
    }
  }

  /** Ends the threads. */
  async stop(): Promise<void> {
    await Promise.all(Object.values(this.#pools).map((pool) => pool.destroy()));
  }

  async #port(lane: LaneName): Promise<number> {
    const [result] = await this.#run(lane, { method: "port", jobs: [undefined] });
    if (!result?.ok) throw errorFromFailure(result?.failure as KernelFailure);
    return result.value;
  }

  async #one<Value>(method: WholeJob["method"], job: object): Promise<Value> {
    return (await this.#whole.submit({ method, job }).done).value as Value;
  }

  // biome-ignore lint/suspicious/noExplicitAny: each worker file types its own calls; results are typed by the lane.
  #run(lane: LaneName, call: object): Promise<JobResult<any>[]> {
    const kernelModule = this.#kernelModule;
    return this.#pools[lane].run(kernelModule === undefined ? call : { ...call, kernelModule });
  }

  #known(): NetworkFacts {
    if (!this.#facts) throw new ForknetError("ERR_FORKNET_CLOSED", "the network is not open");
    return this.#facts;
  }
}

function made<Job>(jobs: readonly Late<Job>[]): Job[] {
  return jobs.map((make) => make());
}

function thread(lane: LaneName): Piscina {
  return new Piscina({
    filename: new URL(`./${lane}.worker.js`, import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: FOREVER,
    // A lane sends one call at a time, so there is never a second one to run beside it.
    concurrentTasksPerWorker: 1,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    // Two histograms of 350 KB each that nobody reads.
    recordTiming: false,
  });
}
