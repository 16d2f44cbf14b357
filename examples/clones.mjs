// Forks of one snapshot that nobody tells who they are now: all keep its MAC, IP and gateway in their memory, and each
// has an address of its own on the bridge.
// Run as root: node examples/clones.mjs [count]
import { openNetwork } from "forknet";

const count = Number(process.argv[2] ?? 3);
/** What the guest was configured with when its snapshot was taken. */
const snapshot = { ip: "169.254.77.2", mac: "06:00:00:00:00:02", gateway: "169.254.77.1" };

const network = await openNetwork({
  bridge: "fkex0",
  subnet: "10.123.0.0/24",
  translate: true,
  pool: { size: count },
  stateDir: process.env.STATE_DIR ?? "/var/lib/forknet/fkex0",
});

const ids = Array.from({ length: count }, (_, i) => `clone-${i}`);
const clones = await Promise.all(
  ids.map((id) =>
    network.createAllocation({
      instanceId: id,
      instanceName: id,
      upload: "10mbit",
      guest: snapshot,
    }),
  ),
);
// A VMM process each: the snapshot's network device is brought to vm.tap, and the guest goes on where it was.
const inside = new Set(clones.map((vm) => vm.guest?.ip));
const outside = new Set(clones.map((vm) => vm.ip));
console.log(
  `${clones.length} clones, inside ${[...inside].join(" ")}, outside ${outside.size} addresses`,
);

// One of them was configured anew from inside: the network follows.
const moved = { ...snapshot, ip: "169.254.78.2", gateway: "169.254.78.1" };
await network.updateGuest("clone-0", moved);
const insideNow = clones.map((vm) => vm.guest?.ip);
console.log(`now inside ${insideNow.join(" ")}`);

await network.destroy();
