// Runs a firewall command: no shell, its script on standard input, its refusals as errors of ours.

import { type ChildProcess, spawn } from "node:child_process";
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

/** Long after the listing of 20,000 rules. Rules that change all the time make a listing begin anew. */
const LONGEST_MS = 10_000;

/** Rejects with UNSUPPORTED when the command is not installed, with KERNEL when none can be started. */
export function run(command: Command, args: readonly string[], input = ""): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const path = process.env.PATH ? `${process.env.PATH}:${SYSTEM_PATH}` : SYSTEM_PATH;
    // The words of a refusal are told apart, so they must not be translated.
    const env = { PATH: path, LC_ALL: "C" };
    // Without a free descriptor it has no pipes, and tells an error a moment later.
    const child: ChildProcess = spawn(command, args, { env });
    const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
    let output = "";
    let complaints = "";
    child.once("error", (cause) => {
      clearTimeout(timer);
      reject(notRun(command, cause));
    });
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      complaints += text;
    });
    child.once("close", (status) => {
      clearTimeout(timer);
      const late = child.killed ? `no end after ${LONGEST_MS / 1000} s` : "";
      resolve({ status, output, complaint: late || (complaints.trim().split("\n")[0] ?? "") });
    });
    // It may end without having read everything: its status says why.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
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
    const text = `${call}: ${said}: nat needs CAP_NET_ADMIN, ambient for an agent that is not root, and no table with a forward chain that a process owns`;
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
