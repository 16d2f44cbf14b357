// What the control socket can ask of an open network. Params come from outside: each is checked
// here or by the call that takes it.

import { ForknetError } from "../errors.js";
import type { Network } from "../network.js";
import { checkKeys } from "../option-checks.js";
import type { Parts } from "../parts.js";
import type { ReconcileReport } from "../reconcile/reconcile.js";
import { checkLabel } from "../request.js";
import {
  type MethodName,
  type Methods,
  type PlainReconcileReport,
  toPlainError,
} from "./protocol.js";
import { agentStatus, type GuestStatus, type NetworkStatus } from "./status.js";

export type Handlers = {
  [Name in MethodName]: (params: Methods[Name]["params"]) => Promise<Methods[Name]["result"]>;
};

export function handlersOf(network: Network, parts: Parts): Handlers {
  const status = async () => agentStatus(parts, await network.statistics());
  return {
    async status(params) {
      checkKeys(params, new Set(), "status");
      return status();
    },
    async verify(params) {
      checkKeys(params, new Set(["instanceId"]), "verify");
      return network.verify(params.instanceId);
    },
    async reconcile(params) {
      checkKeys(params, new Set(["dryRun"]), "reconcile");
      return plainReport(await network.reconcile({ dryRun: params.dryRun === true }));
    },
    async limits(params) {
      checkKeys(params, new Set(["instanceId", "download", "upload"]), "limits");
      const { instanceId, ...limits } = params;
      await network.updateLimits(instanceId, limits);
      return guestIn(await status(), instanceId);
    },
    async release(params) {
      checkKeys(params, new Set(["instanceId"]), "release");
      const instanceId = checkLabel(params.instanceId, "instanceId");
      // The agent's own call takes what is not there for released; a person mistyped.
      if (!network.getAllocation(instanceId)) throw noGuest(instanceId);
      await network.releaseAllocation(instanceId);
      return { released: instanceId };
    },
    async destroy(params) {
      checkKeys(params, new Set(), "destroy");
      await network.destroy();
      return { destroyed: parts.options.bridge };
    },
  };
}

/** Throws NOT_FOUND. */
export function guestIn({ guests }: NetworkStatus, instanceId: string): GuestStatus {
  const guest = guests.find((one) => one.instanceId === instanceId);
  if (!guest) throw noGuest(instanceId);
  return guest;
}

export function plainReport({ actions, ...report }: ReconcileReport): PlainReconcileReport {
  const plain = actions.map(({ error, ...action }) =>
    error ? { ...action, error: toPlainError(error) } : action,
  );
  return { ...report, actions: plain };
}

function noGuest(instanceId: string): ForknetError {
  return new ForknetError("ERR_FORKNET_NOT_FOUND", `no allocation ${instanceId}`);
}
