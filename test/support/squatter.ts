// Processes of nobody's that take what an agent or a command would look for: the name of a network's
// lock, and a control socket that answers everything.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

export const NOBODY = 65_534;

const ADDON = fileURLToPath(new URL("../../build/Release/forknet.node", import.meta.url));
/** Root loads what nobody might not read. */
const AS_NOBODY = `const addon = require(${JSON.stringify(ADDON)}); const net = require("node:net");
process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});`;

/** Bound, and nobody listens: a visitor is refused, and learns of no uid. */
const BOUND = `socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack("S a*", AF_UNIX, "\\0$ARGV[0]")) or die;`;
/** Listens and lets nobody in: its queue is full of its own visits. */
const FULL = `${BOUND} listen(S, 0);
for (1 .. 8) { socket($c[$_], AF_UNIX, SOCK_STREAM | 04000, 0); connect($c[$_], getsockname(S)); }`;

export type Kind = "answers" | "binds" | "is full";

/** Takes an abstract name; `says` to every visitor, if it serves any. */
export function squat(name: string, kind: Kind, says = ""): Promise<ChildProcess> {
  if (kind === "answers")
    return started(process.execPath, [
      "-e",
      `${AS_NOBODY} const [name, says] = process.argv.slice(1);
       net.createServer((visitor) => visitor.on("error", () => {}).end(says)).listen({ fd: addon.lockAbstract(name).fd });
       console.log("held");`,
      name,
      says,
    ]);
  const script = `use Socket; ${kind === "binds" ? BOUND : FULL} $| = 1; print "held\\n"; sleep;`;
  const user = [`--reuid=${NOBODY}`, "--clear-groups"];
  return started("setpriv", [...user, "perl", "-e", script, name]);
}

/** Serves a control socket at `path` that calls everything done. */
export function impersonate(path: string): Promise<ChildProcess> {
  return started(process.execPath, [
    "-e",
    `${AS_NOBODY} net.createServer((visitor) => visitor.on("data", (line) => {
       const { id, params } = JSON.parse(line);
       const result = { bridge: "vmbr0", released: params.instanceId, guests: [], notes: [] };
       visitor.write(JSON.stringify({ forknet: 1, id, result }) + "\\n");
     })).listen(process.argv[1], () => console.log("held"));`,
    path,
  ]);
}

/** Killed when the test has finished. */
async function started(command: string, args: string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => kill(child));
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
