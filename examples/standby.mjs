// A VM is paused to disk and comes back later: the TAP goes, and name, IP, MAC and limits are kept, also over
// a restart of the agent.
// Run as root: node examples/standby.mjs
import { openNetwork } from "forknet";

const options = {
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  pool: { size: 4 },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
};

let network = await openNetwork(options);
const vm = await network.createAllocation({
  instanceId: "vm-1",
  instanceName: "db-1",
  upload: "20mbit",
});
const { ip, mac } = vm;

// After the snapshot is written and the VMM has exited.
await network.standbyAllocation("vm-1");
console.log(`${vm.state}, TAP "${vm.tap}"`);

// The agent restarts.
await network.close();
network = await openNetwork(options);

const restored = await network.recreateAllocation("vm-1");
await restored.shaped;
console.log(`${restored.state}, same IP ${restored.ip === ip}, same MAC ${restored.mac === mac}`);

await network.destroy();
