// Measures what a guest gets through, from the host's side: one TCP flow in the caller's network
// namespace. A limit is judged by the goodput that arrives at the receiver.

import type { Goodput } from "./goodput.js";
import type { Guest } from "./guest.js";
import { TcpService } from "./tcp-service.js";

export interface TcpMeasurement {
  guest: Guest;
  /** An address of this namespace that the guest can reach: the gateway's, as a rule. */
  hostIp: string;
  /** What the guest calls that address, where it is translated. Default `hostIp`. */
  guestSeesHostIp?: string;
  /** As the guest sees it: "download" is towards the guest. */
  direction: "upload" | "download";
  /** Length of the measured part. */
  seconds: number;
  /** Left out of the measurement, so that bursts and slow start are over. Default 1. */
  warmUpSeconds?: number;
}

const DEFAULT_WARM_UP_SECONDS = 1;

/**
 * Goodput of one TCP flow, taken at the receiver between the first arrival after the warm-up and
 * the last. The receiver ends the flow, so what the sender has buffered plays no part. Flows may
 * run side by side. Rejects when the guest cannot connect or no byte arrives within ten seconds.
 */
export async function measureTcp(options: TcpMeasurement): Promise<Goodput> {
  const { guest, hostIp, direction, seconds, warmUpSeconds = DEFAULT_WARM_UP_SECONDS } = options;
  const limits = { durationMs: seconds * 1000, warmUpMs: warmUpSeconds * 1000 };
  const isUpload = direction === "upload";
  // A source without limits sends until its peer has seen enough.
  const service = await TcpService.listen({
    host: hostIp,
    ...(isUpload ? { role: "sink", ...limits } : { role: "source" }),
  });
  try {
    const target = { host: options.guestSeesHostIp ?? hostIp, port: service.port };
    if (!isUpload) return (await guest.receiveTcp({ ...target, ...limits })).goodput;
    const [received] = await Promise.all([service.nextReport(), guest.sendTcp(target)]);
    return received.goodput;
  } finally {
    await service.close();
  }
}
