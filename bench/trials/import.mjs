// How long `import "forknet"` takes in a process that has done nothing else.

const startMs = performance.now();
await import("../../dist/index.js");
const importMs = performance.now() - startMs;
process.stdout.write(`${JSON.stringify({ importMs })}\n`);
