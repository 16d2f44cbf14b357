// Loads the addon in the main thread and in worker threads, one after the other and at once, uses it, and ends: what
// scripts/sanitize.sh runs under valgrind. node test/support/addon-load.mjs BINARY, in a namespace of its own.
import { createRequire } from "node:module";
import { join } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const require = createRequire(import.meta.url);
const here = new URL(import.meta.url);
const ROUNDS = 2;
const AT_ONCE = 2;

/** Every kind of call once: requests, each list, a refusal, a TAP, a map, and what throws. */
function use(/** @type {string} */ binary, /** @type {number} */ number) {
  const addon = require(binary);
  const netlink = new addon.Netlink();
  const name = `load-${number}`;
  netlink.talk([{ op: "link.create", name, kind: "bridge", alias: "under valgrind" }]);
  netlink.talk([{ op: "link.create", name, kind: "bridge" }]);
  const { ifindex } = netlink.link({ name });
  const tap = addon.openTap({ name: `tap-${number}` });
  netlink.talk([
    { op: "link.set", ifindex: tap.ifindex, master: ifindex, up: true },
    { op: "port.set", ifindex: tap.ifindex, isolated: true },
  ]);
  netlink.links();
  netlink.qdiscs();
  netlink.classes(tap.ifindex);
  netlink.filters(tap.ifindex, 0xfffffff2);
  netlink.addresses();
  netlink.routes();
  netlink.neighbors();
  netlink.fdb(ifindex);
  addon.encode([{ op: "link.delete", ifindex: 7 }]);
  try {
    addon.encode([{ op: "nothing" }]);
  } catch {
    // The words of a refusal are made of the argument.
  }
  const map = addon.bpf.createMap({
    name: "load",
    type: "hash",
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
  });
  addon.closeFd(map.fd);
  addon.closeFd(tap.fd);
  netlink.talk([{ op: "link.delete", ifindex }]);
  // Left open: the environment's end closes it.
  new addon.Netlink().links();
  netlink.close();
}

async function main(/** @type {string} */ binary) {
  use(binary, 0);
  let number = 1;
  for (let round = 0; round < ROUNDS; round++) {
    const exits = Array.from({ length: AT_ONCE }, () => {
      const worker = new Worker(here, { workerData: { binary, number: number++ } });
      return new Promise((resolve, reject) => worker.once("error", reject).once("exit", resolve));
    });
    await Promise.all(exits);
  }
}

if (isMainThread) await main(join(process.cwd(), process.argv[2] ?? ""));
else use(workerData.binary, workerData.number);
