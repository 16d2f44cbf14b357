// The command nft: whether it is there and can do NAT, and what it lists.

import { spawnSync } from "node:child_process";

/** An agent's PATH often lacks the administrator's directories. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";

/** What nft printed, or what stood in its way. */
export type NftAnswer = { output: string } | { complaint: string; isMissing: boolean };

/** In the network namespace of the calling thread. */
export function nft(args: readonly string[], input = ""): NftAnswer {
  const { PATH } = process.env;
  const env = { PATH: PATH ? `${PATH}:${SYSTEM_PATH}` : SYSTEM_PATH, LC_ALL: "C" };
  const maxBuffer = 64 << 20;
  const ended = spawnSync("nft", args, { env, input, encoding: "utf8", maxBuffer });
  if (ended.error) {
    const isMissing = (ended.error as NodeJS.ErrnoException).code === "ENOENT";
    return { complaint: ended.error.message, isMissing };
  }
  if (ended.status === 0) return { output: ended.stdout };
  const complaint = ended.stderr.trim().split("\n")[0] ?? "";
  return { complaint: complaint || `nft ended with ${ended.status}`, isMissing: false };
}

const SCRIPT = `table ip forknet-probe {
  chain forward { type filter hook forward priority 0; policy accept; ct state established accept; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; masquerade; }
}
`;

/** Makes a table with what masquerading needs; only for a namespace that is thrown away. */
export function probeNftables(): NftAnswer {
  return nft(["-f", "-"], SCRIPT);
}
