// The links a manager of the host must leave alone, as its rules see them, and how to install the
// drop-ins that say so.

import { fileURLToPath } from "node:url";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { quoted } from "../shell.js";
import type { Scene } from "./host.js";

/** What rules match on. */
export interface OurLink {
  name: string;
  kind: "tun" | "ifb" | "bridge";
}

/** The name that the drop-ins in `integration/` have for the bridge. */
const BRIDGE_IN_DROP_INS = "vmbr0";
const INTEGRATION = fileURLToPath(new URL("../../integration", import.meta.url));

/** A TAP, a shaper, and the bridge unless it is somebody else's: then its manager is, too. */
export function ourLinks({ bridge, bridgeName }: Scene): OurLink[] {
  const links: OurLink[] = [
    { name: "fk0a640002", kind: "tun" },
    { name: "fku0a640001", kind: "ifb" },
  ];
  const isForeign = bridge !== undefined && !bridge.alias.startsWith(ALIAS_PREFIX);
  return isForeign ? links : [...links, { name: bridgeName, kind: "bridge" }];
}

/** Installs a drop-in of the package for this bridge. */
export function installCommand(from: string, to: string, bridgeName: string): string {
  const source = quoted(`${INTEGRATION}/${from}`);
  return bridgeName === BRIDGE_IN_DROP_INS
    ? `install -D -m 0644 ${source} ${to}`
    : `sed ${quoted(`s/${BRIDGE_IN_DROP_INS}/${bridgeName.replace(/[&\\]/g, "\\$&")}/g`)} ${source} > ${to}`;
}
