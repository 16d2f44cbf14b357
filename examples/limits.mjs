// Changes the limits of guests that run, and bounds the uploads of a tenant's guests together.
// Run as root: node examples/limits.mjs
import { openNetwork } from "forknet";

const network = await openNetwork({
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  uploadCapacity: "1gbit",
  pool: { size: 4 },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
});

await network.setGroupLimits("team-a", { upload: { rate: "50mbit", ceil: "100mbit" } });
for (const id of ["vm-1", "vm-2"]) {
  await network.createAllocation({
    instanceId: id,
    instanceName: id,
    group: "team-a",
    upload: { rate: "20mbit", ceil: "100mbit" },
  });
}

// In place: no packet in flight is lost. `null` takes a limit away.
await network.updateLimits("vm-1", { download: "200mbit", upload: "25mbit" });
await network.updateLimits("vm-1", { download: null });
await network.setGroupLimits("team-a", { upload: "80mbit" });
console.log(
  network
    .listGroups()
    .map((group) => group.name)
    .join(" "),
);

for (const { instanceId, upload } of (await network.statistics()).guests)
  console.log(`${instanceId}: ${upload.bytes} bytes up, ${upload.drops} dropped`);

await network.destroy();
