// Everything that may stand in the way of a network on this host, looked at without changing it.

import type { ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import type { Addon } from "../kernel/binding.js";
import { checkLinkName } from "../option-checks.js";
import { defaultStateDir } from "../options.js";
import { checkBridge } from "./bridge.js";
import { checkCapabilities } from "./capabilities.js";
import { checkFeatures, featuresNotProbed } from "./features.js";
import { about, type Finding, type Severity } from "./finding.js";
import { checkFirewall } from "./firewall.js";
import { checkForeignBridge } from "./foreign-bridge.js";
import { Host, type Scene } from "./host.js";
import { checkLeftovers } from "./leftovers.js";
import { checkNetworkManager } from "./network-manager.js";
import { checkNetworkd } from "./networkd.js";
import { checkLockName, checkStateDir } from "./state.js";
import { checkSubnet } from "./subnet.js";
import { checkSysctls } from "./sysctls.js";
import { checkTunDevice } from "./tun-device.js";
import { checkUdev } from "./udev.js";

/** What `forknet doctor --json` prints. Fields and the names of checks are added, never renamed. */
export interface Diagnosis {
  bridge: string;
  findings: Finding[];
  counts: Record<Severity, number>;
}

/**
 * Rejects with CONFIG for a name that no link can have. `host` and `probeProgram` are others in a
 * test.
 */
export async function diagnose(
  bridge: string,
  {
    host = new Host(),
    stateDir = host.path(defaultStateDir(bridge)),
    probeProgram,
  }: { host?: Host; stateDir?: string; probeProgram?: string[] } = {},
): Promise<Diagnosis> {
  checkLinkName(bridge, "bridge");
  const findings = [...checkCapabilities(host), ...checkTunDevice(host), checkStateDir(stateDir)];
  const addon = checkAddon();
  findings.push(addon.finding);
  if (addon.loaded) {
    const isIncapable = findings.some(({ check, severity }) => {
      return check.startsWith("capability.") && severity === "problem";
    });
    findings.push(checkLockName(bridge, stateDir));
    findings.push(...(isIncapable ? [featuresNotProbed()] : checkFeatures(probeProgram)));
    findings.push(...(await checkNetwork(addon.loaded, host, bridge)));
  }
  const counts: Diagnosis["counts"] = { ok: 0, warning: 0, problem: 0 };
  for (const { severity } of findings) counts[severity] += 1;
  return { bridge, findings, counts };
}

function checkAddon(): { finding: Finding; loaded?: Addon } {
  const { ok, problem } = about("addon", "speaks to the kernel; without it nothing works");
  try {
    const loaded = loadAddon();
    return { finding: ok("the addon loads"), loaded };
  } catch (error) {
    return { finding: problem((error as ForknetError).message, "npm rebuild forknet") };
  }
}

async function checkNetwork(addon: Addon, host: Host, bridgeName: string): Promise<Finding[]> {
  const netlink = new addon.Netlink();
  try {
    const link = netlink.link({ name: bridgeName });
    const bridge = link?.kind === "bridge" ? link : undefined;
    const scene: Scene = { host, netlink, bridgeName, bridge };
    return [
      ...checkBridge(scene),
      ...checkForeignBridge(scene),
      ...checkSubnet(scene),
      ...checkLeftovers(scene),
      ...(await checkFirewall(scene)),
      ...checkSysctls(scene),
      checkUdev(scene),
      checkNetworkd(scene),
      checkNetworkManager(scene),
    ];
  } finally {
    netlink.close();
  }
}
