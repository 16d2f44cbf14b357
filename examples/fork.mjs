// Forks many VMs of one snapshot at once. Each gets an identity of its own; one that cannot be had does not
// stop the others.
// Run as root: node examples/fork.mjs [count]
import { ForknetError, openNetwork } from "forknet";

const count = Number(process.argv[2] ?? 10);

const network = await openNetwork({
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  pool: { size: count },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
});

const ids = Array.from({ length: count }, (_, i) => `fork-${i}`);
const forks = await Promise.allSettled(
  ids.map((id) =>
    network.createAllocation(
      { instanceId: id, instanceName: id, download: "50mbit", upload: "10mbit" },
      // A fork that takes longer than the caller wants to wait is undone.
      { signal: AbortSignal.timeout(10_000) },
    ),
  ),
);

const usable = forks.filter((fork) => fork.status === "fulfilled").map((fork) => fork.value);
for (const { reason } of forks.filter((fork) => fork.status === "rejected")) {
  // Match on the code: it is stable, the words are not.
  console.error(reason instanceof ForknetError ? reason.code : reason);
}
console.log(`${usable.length} usable, ${new Set(usable.map((vm) => vm.ip)).size} addresses`);

// The guests run meanwhile, at the base limits at most.
await Promise.all(usable.map((vm) => vm.shaped));
console.log(`${usable.filter((vm) => vm.shaping === "shaped").length} shaped`);

await Promise.all(ids.map((id) => network.releaseAllocation(id)));
console.log(`${network.listAllocations().length} left`);
await network.destroy();
