// A host agent whose network is seen in Prometheus and Grafana (dashboard.json). It forks guests and
// releases them again until it is told to stop.
// Run as root: node examples/otel/agent.mjs [port]     then: curl http://127.0.0.1:9464/metrics
import { setTimeout as sleep } from "node:timers/promises";
import { openNetwork } from "forknet";
import { startTelemetry } from "./telemetry.mjs";

const GUESTS = 8;
const port = Number(process.argv[2] ?? 9464);

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort());

const telemetry = await startTelemetry(port);
const network = await openNetwork({
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  pool: { size: GUESTS / 2 },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
});

// What an operator wants to hear of at once, beside what the dashboard shows.
const listening = (async () => {
  for await (const event of network.events({ signal: stopping.signal }))
    if (event.type === "drift") console.log(`${event.subject}: ${event.what} is ${event.found}`);
})();

const guest = (/** @type {number} */ i) => ({
  instanceId: `vm-${i}`,
  instanceName: `web-${i}`,
  download: "50mbit",
  upload: "10mbit",
});

// A TAP name that the kernel refuses, so that there is an error to see.
await network.createAllocation({ ...guest(0), tapName: "lo" }).catch(({ code }) => {
  console.log(`refused: ${code}`);
});
for (let i = 0; i < GUESTS; i++) {
  const { shaped } = await network.createAllocation(guest(i));
  await shaped;
}
await network.standbyAllocation("vm-0");
await network.recreateAllocation("vm-0");
console.log(`serving http://127.0.0.1:${port}/metrics`);

for (let i = 0; !stopping.signal.aborted; i++) {
  await network.releaseAllocation(`vm-${i}`);
  const { shaped } = await network.createAllocation(guest(i + GUESTS));
  await shaped.catch(() => {});
  await sleep(1000, undefined, { signal: stopping.signal }).catch(() => {});
}

await network.destroy();
await listening;
console.log(`${telemetry.spans() > GUESTS ? "spans recorded" : "no spans"}`);
await telemetry.stop();
