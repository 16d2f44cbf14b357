// The switch that brings bridged packets before the host's iptables and nftables, in the test's
// network namespace. A kernel without br_netfilter has none.

import { readFileSync, writeFileSync } from "node:fs";
import { onTestFinished } from "vitest";

const SWITCH = "/proc/sys/net/bridge/bridge-nf-call-iptables";

export type BridgeNetfilter = "0" | "1" | "absent";

/** What it can be here, for `each`: tried by writing it, since it may be there and not be ours. */
export const BRIDGE_NETFILTER: readonly BridgeNetfilter[] = hasSwitch() ? ["0", "1"] : ["absent"];

/** Sets it for the time of the test. */
export function setBridgeNetfilter(value: BridgeNetfilter): void {
  if (value === "absent") return;
  const former = readFileSync(SWITCH, "utf8");
  writeFileSync(SWITCH, value);
  onTestFinished(() => writeFileSync(SWITCH, former));
}

function hasSwitch(): boolean {
  try {
    writeFileSync(SWITCH, readFileSync(SWITCH));
    return true;
  } catch {
    return false;
  }
}
