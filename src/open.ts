// openNetwork: checks the options, takes the lock, starts the lanes, opens the kernel side, takes
// over what is there.

import { keepOptions } from "./control/former-options.js";
import { handlersOf } from "./control/handlers.js";
import { ControlServer } from "./control/server.js";
import { errnoName, type ForknetError, type KernelFailure } from "./errors.js";
import { publish } from "./events/events.js";
import type { NetworkFacts } from "./facts.js";
import { Groups } from "./groups/groups.js";
import { Guarantees } from "./groups/guarantees.js";
import { ClassSwitch } from "./guests/class-switch.js";
import { allocationFacts } from "./guests/guest.js";
import { wiped } from "./guests/lost-slot.js";
import { Reaper } from "./guests/reaper.js";
import { Registry } from "./guests/registry.js";
import { Shaping } from "./guests/shaping.js";
import { SlotPool } from "./guests/slot-pool.js";
import { Identities } from "./identity/identities.js";
import { loadAddon } from "./kernel/addon.js";
import type { LaneName } from "./lanes/job.js";
import { Lanes } from "./lanes/lanes.js";
import { readDrops } from "./lease/drops.js";
import { GroupStore } from "./lease/group-store.js";
import { LeaseTable } from "./lease/lease-table.js";
import { StandbyStore } from "./lease/standby-store.js";
import { baseLimits, toKernelLimits } from "./limits.js";
import { Flows } from "./nat/flows.js";
import { Nat } from "./nat/nat.js";
import { NatRecord } from "./nat/nat-record.js";
import type { Network } from "./network.js";
import { OpenNetwork } from "./open-network.js";
import { type NetworkOptions, type ResolvedOptions, resolveOptions } from "./options.js";
import type { Parts } from "./parts.js";
import { ProcessLock } from "./process-lock.js";
import type { StoreDamage } from "./state/aside.js";
import { StateDir } from "./state/state-dir.js";
import { checkStored, type TakenOver, takeOver } from "./takeover.js";
import { Metrics } from "./telemetry/metrics.js";
import { endSpan, startSpan } from "./telemetry/traces.js";

/** What tests replace, and what an operator's command may. */
export interface Internals {
  /** URL of a module whose `createKernel` the workers use instead of the real one. */
  kernelModule?: string;
  /** Bounds each worker's heap. */
  heapMb?: number;
  /** A command of root's: the owner of the state directory is trusted, too. */
  trustsOwner?: boolean;
  /** How long a connection to the control socket may be idle. */
  controlIdleMs?: number;
}

/** How to end what was started, in order of starting. */
type Endings = (() => Promise<void> | void)[];

/**
 * Makes the network's bridge and shaper, or adopts what an earlier process left: its guests are
 * back with identity and limits, their traffic undisturbed. Rejects with CONFIG, CONFLICT (also
 * when another process has it open, with its pid), PERMISSION, UNSUPPORTED or KERNEL; then the
 * kernel is as it was.
 */
export function openNetwork(options: NetworkOptions): Promise<Network> {
  return openWith(options, {});
}

/** openNetwork with replaceable internals. */
export async function openWith(given: NetworkOptions, internals: Internals): Promise<Network> {
  const options = resolveOptions(given);
  const span = startSpan("forknet.open", { "forknet.bridge": options.bridge });
  const endings: Endings = [];
  const shutDown = async () => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  const storeDamage: StoreDamage[] = [];
  const onDamage = (damage: StoreDamage) => {
    storeDamage.push(damage);
    publish("forknet:store-damaged", { bridge: options.bridge, ...damage });
  };
  let nat: Nat | undefined;
  try {
    const { trustsOwner = false } = internals;
    // First: without the addon nothing may be made.
    loadAddon();
    const state = StateDir.open(options.stateDir, { trustsOwner, onDamage });
    endings.push(() => state.close());
    const lock = await ProcessLock.take(options.bridge, state);
    endings.push(() => lock.release());
    const standby = await StandbyStore.open(state);
    endings.push(() => standby.close());
    nat = new Nat(options, await NatRecord.open(state));
    const stores = { state, standby, nat, groupStore: await GroupStore.open(state) };
    const stored = standby.all();
    checkStored(stored, options);
    const { parts, opened } = await assemble(options, internals, stores, endings);
    const { adoption } = opened;
    const warnings = [...opened.warnings, ...nat.warnings()];
    const found = takeOver(parts, adoption, stored);
    // Guests that live, and what is left of others, have theirs already, whatever else is there by now.
    parts.identities.avoid(opened.hosts, parts.facts.gateway.mac);
    span.setAttributes({
      "forknet.adopted": found.guests,
      "forknet.kept": found.standby,
      "forknet.reaped": found.leftovers,
      ...(found.renamed > 0 && { "forknet.repaired": found.renamed }),
      ...(warnings.length > 0 && { "forknet.warnings": warnings.map(({ text }) => text) }),
    });
    for (const warning of warnings) {
      publish("forknet:warning", { bridge: options.bridge, ...warning });
    }
    if (found.rivals.length > 0) onDamage(await setRivalsAside(standby, found));
    await nat.settle();
    // A process that died in a release leaves no trace but these: before any address is given away.
    await parts.flows.forgetBut(options.subnet, parts.identities.takenAddresses);
    parts.pool.fill();
    endSpan(span);
    const network = new OpenNetwork(parts, storeDamage, shutDown);
    await listenForOperators(network, parts, given, internals, endings);
    // Serve first, clean after. A network that was made just now has nothing to clean.
    if (adoption.isAdopted) network.cleanUp();
    return network;
  } catch (error) {
    const told = nat ? await nat.takeBack(error) : error;
    endSpan(span, told);
    await shutDown();
    throw told;
  }
}

/** Guests come first: a network without a control socket serves them as well. */
async function listenForOperators(
  network: Network,
  parts: Parts,
  given: NetworkOptions,
  { controlIdleMs }: Internals,
  endings: Endings,
): Promise<void> {
  const { options, state } = parts;
  const failed = (error: unknown) =>
    publish("forknet:control-failed", { bridge: options.bridge, error: error as ForknetError });
  const handlers = handlersOf(network, parts);
  let control: Promise<ControlServer | undefined> = Promise.resolve(undefined);
  const listen = () => {
    control = control.then(async (former) => {
      former?.close();
      return ControlServer.listen(state, handlers, controlIdleMs);
    });
    control = control.catch((error) => {
      failed(error);
      return undefined;
    });
    return control;
  };
  endings.push(async () => {
    state.onMoved = undefined;
    (await control)?.close();
  });
  state.onMoved = () => void listen();
  await Promise.all([keepOptions(state, given, options).catch(failed), listen()]);
}

/** Their identity is another guest's now: what is left of them is kept for a person to look at. */
async function setRivalsAside(
  standby: StandbyStore,
  { rivals, standby: kept }: TakenOver,
): Promise<StoreDamage> {
  const ids = rivals.map(({ instanceId }) => instanceId).join(", ");
  const reason = `other guests have the address, MAC or name of ${ids}`;
  return { reason, movedTo: await standby.setAside(rivals), kept };
}

async function assemble(
  given: ResolvedOptions,
  internals: Internals,
  stores: Pick<Parts, "state" | "standby" | "groupStore" | "nat">,
  endings: Endings,
) {
  const { groupStore, nat } = stores;
  const { bridge } = given;
  let metrics: Metrics | undefined;
  const onFailure = (lane: LaneName, { errno, code }: KernelFailure) =>
    metrics?.kernelError(lane, code ?? (errno ? errnoName(errno) : "ERR_FORKNET_KERNEL"));
  const onLost = (worker: LaneName, error: ForknetError) => {
    metrics?.workerLost(worker);
    publish("forknet:worker-lost", { bridge, worker, error });
  };
  const lanes = new Lanes({ ...internals, onFailure, onLost });
  endings.push(() => lanes.stop());
  const opened = await lanes.open(
    given,
    nat.isConcerned ? (isThere) => nat.establish(isThere) : undefined,
  );
  const { facts } = opened;
  endings.push(() => closeAll(facts));
  const { mtu } = facts;
  const options = { ...given, mtu, isMtuAsked: given.mtu !== undefined };
  const registry = new Registry();
  const flows = new Flows(bridge, lanes.forget);
  const identities = new Identities(options.subnet, (ip) => flows.forget(ip));
  const leases = new LeaseTable(facts.maps.leases);
  metrics = new Metrics(bridge, {
    allocations: () => count(registry.all().map(({ state }) => state)),
    laneDepths: () => ({
      create: lanes.create.depth,
      shape: lanes.shape.depth,
      reap: lanes.reap.depth,
    }),
    poolSlots: () => ({ ...pool.counts }),
    guardDrops: () => readDrops(facts.maps.drops),
  });
  endings.push(() => metrics?.close());
  const reaper = new Reaper(bridge, lanes.reap, metrics);
  const guarantees = new Guarantees(options.uploadCapacity);
  const groups = new Groups(facts, identities, guarantees, lanes.mend, groupStore);
  const classes = new ClassSwitch(leases, identities, groups);
  const shaping = new Shaping(facts, options, lanes.shape, classes, metrics);
  const pool: SlotPool = new SlotPool({
    bridge,
    size: options.poolSize,
    baseLimits: toKernelLimits(baseLimits(options.baseLimit), options),
    identities,
    lane: lanes.create,
    reaper,
    wiped: (error, remains) => wiped(parts, error, remains),
    flagsOf: (ifindex) => loadAddon().linkFlags(ifindex),
    isBusy: () => lanes.shape.depth > 0 || lanes.create.depth > pool.counts.making,
    guests: () => registry.all().length,
  });
  const parts: Parts = {
    options,
    facts,
    allocationFacts: allocationFacts(options),
    lanes,
    registry,
    identities,
    guarantees,
    groups,
    leases,
    ...stores,
    reaper,
    shaping,
    pool,
    metrics,
    flows,
  };
  return { parts, opened };
}

/** Programs and maps stay in the kernel for as long as a filter uses them. */
function closeAll({ maps, programs }: NetworkFacts): void {
  const addon = loadAddon();
  for (const fd of [...Object.values(maps), ...Object.values(programs)]) addon.closeFd(fd);
}

function count(states: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = { pending: 0, active: 0, standby: 0, releasing: 0 };
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}
