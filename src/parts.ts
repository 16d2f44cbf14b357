// What the operations of one open network share. Made in open.ts; each part keeps its own state.

import type { NetworkFacts } from "./facts.js";
import type { Groups } from "./groups/groups.js";
import type { Guarantees } from "./groups/guarantees.js";
import type { AllocationFacts } from "./guests/guest.js";
import type { Reaper } from "./guests/reaper.js";
import type { Registry } from "./guests/registry.js";
import type { Shaping } from "./guests/shaping.js";
import type { SlotPool } from "./guests/slot-pool.js";
import type { Identities } from "./identity/identities.js";
import type { Lanes } from "./lanes/lanes.js";
import type { GroupStore } from "./lease/group-store.js";
import type { LeaseTable } from "./lease/lease-table.js";
import type { StandbyStore } from "./lease/standby-store.js";
import type { Flows } from "./nat/flows.js";
import type { Nat } from "./nat/nat.js";
import type { SettledOptions } from "./options.js";
import type { StateDir } from "./state/state-dir.js";
import type { Metrics } from "./telemetry/metrics.js";

export interface Parts {
  readonly options: SettledOptions;
  readonly facts: NetworkFacts;
  readonly allocationFacts: AllocationFacts;
  readonly lanes: Lanes;
  readonly registry: Registry;
  readonly identities: Identities;
  readonly guarantees: Guarantees;
  readonly groups: Groups;
  readonly leases: LeaseTable;
  readonly state: StateDir;
  readonly standby: StandbyStore;
  readonly groupStore: GroupStore;
  readonly reaper: Reaper;
  readonly shaping: Shaping;
  readonly pool: SlotPool;
  readonly metrics: Metrics;
  readonly nat: Nat;
  readonly flows: Flows;
}
