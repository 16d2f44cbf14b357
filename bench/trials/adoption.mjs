// An agent forks n guests and is killed; how long does the next one take to open the network with all of them in it?

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openNetwork } from "../../dist/index.js";
import { answer, networkOptions, trialOptions } from "./agent.mjs";

const options = trialOptions();
const victim = fileURLToPath(new URL("./adoption-victim.mjs", import.meta.url));
const child = spawn(process.execPath, [victim, JSON.stringify(options)], {
  stdio: ["ignore", "pipe", "inherit"],
});
await once(createInterface({ input: child.stdout }), "line");
child.kill("SIGKILL");
await once(child, "exit");

const startMs = performance.now();
const network = await openNetwork(networkOptions(options));
const openMs = performance.now() - startMs;
const adopted = network.listAllocations().filter(({ state }) => state === "active").length;
await network.destroy();
if (adopted !== options.n)
  throw new Error(`Expected ${options.n} guests to be adopted, but ${adopted} were`);
answer({ openMs });
