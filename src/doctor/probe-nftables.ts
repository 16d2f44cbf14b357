// Whether nft is there and the kernel masquerades. Only for a namespace that is thrown away.

import type { ForknetError } from "../errors.js";
import { must } from "../nat/command.js";

export type NftablesResult = { works: true } | { works: false; isMissing: boolean; text: string };

const SCRIPT = `table ip forknet-probe {
  chain forward { type filter hook forward priority 0; policy accept; ct state established accept; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; masquerade; }
}
`;

/** Makes a table with what `nat` needs. */
export async function probeNftables(): Promise<NftablesResult> {
  try {
    await must("nft", ["-f", "-"], SCRIPT);
    return { works: true };
  } catch (error) {
    const { code, kernelMessage, message } = error as ForknetError;
    const isMissing = code === "ERR_FORKNET_UNSUPPORTED";
    return { works: false, isMissing, text: kernelMessage ?? message };
  }
}
