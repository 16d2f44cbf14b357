// Runs a firewall command: no shell, its script on standard input, its refusals as errors of ours.

import { spawn } from "node:child_process";
import { ForknetError } from "../errors.js";

export type Command =
  | "nft"
  | "iptables-nft"
  | "iptables-nft-restore"
  | "iptables-legacy"
  | "iptables-legacy-restore";

/** How it ended, whatever that means. */
export interface Ended {
  status: number | null;
  output: string;
  /** The first line of what it complained about. */
  complaint: string;
}

/** An agent's own PATH often lacks the directories of the administrator. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";

/** Rejects with UNSUPPORTED when the command is not installed. */
export function run(command: Command, args: readonly string[], input = ""): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const path = process.env.PATH ? `${process.env.PATH}:${SYSTEM_PATH}` : SYSTEM_PATH;
    // The words of a refusal are told apart, so they must not be translated.
    const child = spawn(command, args, { env: { PATH: path, LC_ALL: "C" } });
    let output = "";
    let complaints = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaints += text;
    });
    child.once("error", (cause) => reject(notRun(command, cause)));
    child.once("close", (status) =>
      resolve({ status, output, complaint: complaints.trim().split("\n")[0] ?? "" }),
    );
    // It may end without having read everything: its status says why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

/** What it prints. Rejects with UNSUPPORTED, PERMISSION or KERNEL. */
export async function must(
  command: Command,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const ended = await run(command, args, input);
  if (ended.status !== 0) throw refused(command, args, ended);
  return ended.output;
}

export function refused(command: Command, args: readonly string[], ended: Ended): ForknetError {
  const { status, complaint } = ended;
  const said = complaint || (status === null ? "it was killed" : `it ended with ${status}`);
  const call = [command, ...args].join(" ");
  const isDenied = /not permitted|permission denied|must be root/i.test(said);
  const fields = { syscall: command, kernelMessage: said };
  if (isDenied) {
    const text = `${call}: ${said}: nat needs CAP_NET_ADMIN, ambient for an agent that is not root`;
    return new ForknetError("ERR_FORKNET_PERMISSION", text, fields);
  }
  return new ForknetError("ERR_FORKNET_KERNEL", `${call}: ${said}`, fields);
}

function notRun(command: Command, cause: Error): ForknetError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== "ENOENT")
    return new ForknetError("ERR_FORKNET_KERNEL", `cannot run ${command}: ${code}`, { cause });
  const name = command === "nft" ? "nftables" : "iptables";
  const text = `nat needs the command ${command}, which is not there: install the package ${name}`;
  return new ForknetError("ERR_FORKNET_UNSUPPORTED", text, { cause });
}
