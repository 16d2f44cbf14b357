// Where the built addon lies, for the workers and processes of tests that load it without
// TypeScript.
import { fileURLToPath } from "node:url";

export function binaryPath(): string {
  return fileURLToPath(new URL("../../build/Release/forknet.node", import.meta.url));
}
