// What a script does: four `ip` and four `tc` processes a guest, started from Node. A trial of its own: forks n guests,
// all at once or one after the other, and prints when each is usable and when it is shaped.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const { n, oneByOne } = JSON.parse(process.argv[2] ?? "{}");

/** @param {string} command */
async function sh(command) {
  const [program, ...args] = command.split(" ");
  await run(/** @type {string} */ (program), args);
}

/** @param {number} i */
async function fork(i) {
  const tap = `tap${i}`;
  const minor = (i + 0x10).toString(16);
  const startMs = oneByOne ? performance.now() : burstMs;
  await sh(`ip tuntap add dev ${tap} mode tap vnet_hdr`);
  await sh(`ip link set dev ${tap} master br0`);
  await sh(`ip link set dev ${tap} type bridge_slave isolated on`);
  await sh(`ip link set dev ${tap} up`);
  usableMs.push(performance.now() - startMs);
  await sh(`tc qdisc add dev ${tap} root tbf rate 100mbit burst 200kb latency 50ms`);
  await sh(`tc class add dev ifb-up parent 1:1 classid 1:${minor} htb rate 20mbit ceil 80mbit`);
  await sh(`tc qdisc add dev ifb-up parent 1:${minor} handle ${minor}: bfifo limit 500kb`);
  const match = `match ip src 10.100.${i >> 8}.${i & 255} flowid 1:${minor}`;
  await sh(`tc filter add dev ifb-up parent 1: protocol ip prio 1 u32 ${match}`);
  shapedMs.push(performance.now() - startMs);
}

await sh("ip link add br0 type bridge");
await sh("ip link set br0 up");
await sh("ip link add ifb-up type ifb");
await sh("ip link set ifb-up up");
await sh("tc qdisc add dev ifb-up root handle 1: htb default 2");
await sh("tc class add dev ifb-up parent 1: classid 1:1 htb rate 10gbit");
/** @type {number[]} */
const usableMs = [];
/** @type {number[]} */
const shapedMs = [];
const burstMs = performance.now();
const guests = Array.from({ length: n }, (_, i) => i);
if (oneByOne) for (const i of guests) await fork(i);
else await Promise.all(guests.map(fork));
process.stdout.write(`${JSON.stringify({ usableMs, shapedMs })}\n`);
