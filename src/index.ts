// The public entry: a list.

export type { Bandwidth } from "./bandwidth.js";
export { ForknetError, type ForknetErrorCode, type ForknetErrorFields } from "./errors.js";
export type { Events } from "./events/events.js";
export type { NetworkEvent } from "./events/subscription.js";
export type { GroupInfo } from "./groups/group-list.js";
export type { Allocation, AllocationState, ShapingState } from "./guests/guest.js";
export type { GuestIdentity } from "./identity/guest-identity.js";
export type { TapOwner } from "./identity/tap-owner.js";
export type { ChangedObject } from "./kernel/changes.js";
export type { DropReason } from "./lease/drops.js";
export type { UploadRequest } from "./limits.js";
export type { NatOptions } from "./nat/nat-options.js";
export type { ChangedBy } from "./nat/ruleset.js";
export type { Network } from "./network.js";
export { openNetwork } from "./open.js";
export type { NetworkOptions } from "./options.js";
export type { Difference, Warning } from "./plans/finding.js";
export type { ReconcileOptions, ReconcileReport } from "./reconcile/reconcile.js";
export type { ReconcileAction } from "./reconcile/reconcile-action.js";
export type { VerifyDifference, VerifyReport, VerifyWarning } from "./reconcile/verify.js";
export type {
  AllocationRequest,
  GroupLimitsRequest,
  LimitsRequest,
  RecreateOptions,
} from "./request.js";
export type { StoreDamage } from "./state/aside.js";
export type { GuestStatistics, NetworkStatistics, TrafficCounters } from "./statistics.js";
