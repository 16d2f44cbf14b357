// Which of the networks of this network namespace a command is about.

import { ForknetError } from "../errors.js";
import type { Kernel } from "../kernel/kernel.js";
import { type KernelNetwork, networksInKernel } from "../plans/kernel-networks.js";

/** The network on this bridge, or the only one. Throws NOT_FOUND, and CONFIG when there are several. */
export function chooseNetwork(kernel: Kernel, bridge: string | undefined): KernelNetwork {
  const all = networksInKernel(kernel);
  const found = bridge === undefined ? all[0] : all.find((one) => one.bridge === bridge);
  if (!found) {
    const where = bridge === undefined ? "" : ` on ${bridge}`;
    const text = `there is no network of forknet${where} in this network namespace`;
    throw new ForknetError("ERR_FORKNET_NOT_FOUND", text);
  }
  if (bridge === undefined && all.length > 1) {
    const names = all.map((one) => one.bridge).join(", ");
    const text = `there are several networks: say which with --bridge (${names})`;
    throw new ForknetError("ERR_FORKNET_CONFIG", text);
  }
  return found;
}
