// The agent goes and comes back while its guests run: they keep their network, and the next process takes them
// over and compares them with the VMs that it knows of.
// Run as root: node examples/restart.mjs
import { openNetwork } from "forknet";

const options = {
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  pool: { size: 4 },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
};

const before = await openNetwork(options);
for (const id of ["vm-1", "vm-2", "vm-3"])
  await before.createAllocation({ instanceId: id, instanceName: id, download: "50mbit" });
// An agent that is killed instead leaves the same behind.
await before.close();

const network = await openNetwork(options);
console.log(
  `adopted: ${network
    .listAllocations()
    .map((vm) => vm.instanceId)
    .sort()
    .join(" ")}`,
);

// Only these two still have a VMM; the third is released.
const report = await network.reconcile({ keep: ["vm-1", "vm-2"] });
for (const { action, subject } of report.actions) console.log(`${action} ${subject}`);

const { differences } = await network.verify();
console.log(`${differences.length} differences`);
await network.destroy();
