// The least an agent does for one VM: an identity with a TAP, the limits, and the end of it.
// Run as root: node examples/minimal.mjs
import { openNetwork } from "forknet";

const network = await openNetwork({
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  pool: { size: 4 },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
});

const vm = await network.createAllocation({
  instanceId: "vm-1",
  instanceName: "web-1",
  download: "100mbit",
  upload: { rate: "20mbit", ceil: "80mbit" },
});
// Hand these to the VMM: the TAP is up, on the bridge, and passes frames of this MAC and IP only.
console.log(
  `${vm.instanceName}: ${vm.tap} ${vm.mac} ${vm.ip}/${vm.prefixLength} via ${vm.gateway}`,
);

await vm.shaped;
console.log(`limits: ${vm.shaping}`);

// When the VMM has exited.
await network.releaseAllocation("vm-1");
await network.destroy();
