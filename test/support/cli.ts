// The built command as a process of its own, in the network namespace of the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** `launcher` is a command that runs the rest of its arguments, such as setpriv. */
export async function forknet(
  args: readonly string[],
  { launcher = [], env = {} }: { launcher?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<CliResult> {
  const [command, ...rest] = [...launcher, process.execPath, PROGRAM, ...args];
  const child = spawn(command as string, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...output };
}

/** With `--json`: the exit code and what was printed. */
export async function forknetJson(
  args: readonly string[],
  options: Parameters<typeof forknet>[1] = {},
  // biome-ignore lint/suspicious/noExplicitAny: each test says what it expects of it.
): Promise<{ code: number | null; value: any }> {
  const { code, stdout, stderr } = await forknet([...args, "--json"], options);
  if (stderr !== "") throw new Error(`unexpected on stderr: ${stderr}`);
  return { code, value: JSON.parse(stdout) };
}
