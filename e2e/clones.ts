// Forks of one snapshot that nobody tells who they are now: all wake up with the snapshot's MAC, IP and gateway, and
// forknet translates at their TAPs.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Allocation, Network } from "../dist/index.js";
import { Vm } from "../examples/agent/qemu.mjs";
import type { Check } from "./check.js";
import { checkTimes } from "./fork.js";
import { MAC_AND_IP, words } from "./inside.js";
import type { Place } from "./place.js";
import { checkRates, type Limits } from "./rates.js";
import { checkInternet, checkPeer, PINGS } from "./reach.js";

const SNAPSHOT = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
};
const PREFIX_LENGTH = 30;
/** One each: whose rate it is shows. */
const LIMITS: readonly Limits[] = [
  { download: 10_000_000, upload: 5_000_000 },
  { download: 5_000_000, upload: 10_000_000 },
  { download: 8_000_000, upload: 4_000_000 },
  { download: 4_000_000, upload: 8_000_000 },
];
const MEASURED_MS = 3000;
const WHO_PORT = 7007;
const RETRY_MS = 100;
const ANSWER_MS = 20_000;

interface Clone {
  allocation: Allocation;
  vm: Vm;
  check: Check;
}

/** Saves one machine and restores it as often as there are limits, all at once. */
export async function checkClones(place: Place): Promise<Check[]> {
  const network = await place.openTranslating();
  const echo = await place.internet.serveTcp({ role: "echo" });
  const file = place.file("clones.snapshot");
  const vms: Vm[] = [];
  try {
    await save(place, network, file);
    const waking = LIMITS.map((limits, i) => wake(place, network, `clone-${i + 1}`, limits, file));
    const woken = await Promise.allSettled(waking);
    for (const one of woken) if (one.status === "fulfilled") vms.push(one.value.vm);
    const clones = woken.map((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value;
    });
    const checks = clones.map(({ check }) => check);
    for (const [i, clone] of clones.entries()) {
      const next = clones[(i + 1) % clones.length] as Clone;
      checks.push(await checkInside(clone), await checkOutside(clone));
      checks.push(await checkInternet(clone, echo.port), await checkPeer(clone, next));
    }
    const rated = clones.map(({ allocation, vm }) => ({
      allocation,
      vm,
      hostIp: SNAPSHOT.gateway,
    }));
    checks.push(...(await checkRates(network, rated, LIMITS, MEASURED_MS, "clones")));
    checks.push(checkDrops(network));
    return checks;
  } finally {
    await Promise.all(vms.map((vm) => vm.kill()));
    await echo.close();
    await network.destroy();
  }
}

/** Boots the machine that all become, as its snapshot knows it, and gives it up. */
async function save(place: Place, network: Network, file: string): Promise<void> {
  const id = "snapshot";
  const allocation = await network.createAllocation(request(id));
  await allocation.shaped;
  const given = { address: `${SNAPSHOT.ip}/${PREFIX_LENGTH}`, gateway: SNAPSHOT.gateway };
  const vm = await Vm.boot({ ...place.machine(allocation, given), mac: SNAPSHOT.mac });
  try {
    await vm.run("echo remembered >/tmp/memory");
    // The snapshot knows its gateway's MAC, as one that has been at work does.
    await vm.run(`ping -c 1 -W 5 ${SNAPSHOT.gateway}`);
    await vm.save(file);
  } finally {
    await vm.kill();
  }
  await network.releaseAllocation(id);
}

function request(id: string) {
  return { instanceId: id, instanceName: id, guest: SNAPSHOT };
}

/** Nothing is done in the guest but to ask whether it is there. */
async function wake(
  place: Place,
  network: Network,
  id: string,
  { download, upload }: Limits,
  file: string,
): Promise<Clone> {
  const startMs = performance.now();
  const since = () => performance.now() - startMs;
  const own = { download, upload: { rate: upload, ceil: upload } };
  const allocation = await network.createAllocation({ ...request(id), ...own });
  const networkMs = since();
  const shaped = allocation.shaped.then(since);
  const machine = { ...place.machine(allocation), mac: SNAPSHOT.mac };
  const vm = await Vm.restore(machine, file);
  const restoredMs = since();
  await vm.resume();
  await vm.run(`until ping -c 1 -W 1 ${SNAPSHOT.gateway}; do :; done`);
  const answeredMs = since();
  const shapedMs = await shaped;
  const check = checkTimes({ allocation, networkMs, shapedMs, restoredMs, answeredMs });
  return { allocation, vm, check };
}

async function checkInside({ allocation: { instanceId, ip, mac }, vm }: Clone): Promise<Check> {
  const inside = words(await vm.run(`${MAC_AND_IP}; cat /tmp/memory`));
  const configured = `outside ${mac} ${ip}, inside ${SNAPSHOT.mac} ${SNAPSHOT.ip} remembered`;
  const measured = `outside ${mac} ${ip}, inside ${inside}`;
  const scenario = "clone: its snapshot's identity, not re-addressed";
  const holds = measured === configured && ip !== SNAPSHOT.ip && mac !== SNAPSHOT.mac;
  return { scenario, guest: instanceId, configured, measured, holds };
}

/** The host asks at the outer address who is there: the clone says what only it was told. */
async function checkOutside({ allocation: { instanceId, ip }, vm }: Clone): Promise<Check> {
  await vm.run(`(echo ${instanceId} | nc -l -p ${WHO_PORT}) >/dev/null 2>&1 &`);
  const who = await askWho(ip);
  const said = execFileSync("ping", ["-c", String(PINGS), "-i", "0.2", "-W", "5", ip]).toString();
  const [, received = "0"] = /(\d+) received/.exec(said) ?? [];
  return {
    scenario: "clone: reached at its own outer IP",
    guest: instanceId,
    configured: `${instanceId} at ${ip}, ${PINGS} of ${PINGS} answers`,
    measured: `${who} at ${ip}, ${received} of ${PINGS} answers`,
    holds: who === instanceId && Number(received) === PINGS,
  };
}

async function askWho(ip: string): Promise<string> {
  for (const until = performance.now() + ANSWER_MS; ; await sleep(RETRY_MS)) {
    const socket = connect(WHO_PORT, ip);
    try {
      await once(socket, "connect");
      return (await text(socket)).trim();
    } catch (error) {
      // It has not begun to listen.
      if (performance.now() > until) throw error;
    } finally {
      socket.destroy();
    }
  }
}

/** What the programs could not translate, or took for forged. */
function checkDrops(network: Network): Check {
  const { untranslatable, gate_malformed, malformed, ip, mac } = network.drops();
  const wrong = { untranslatable, gate_malformed, malformed, ip, mac };
  const measured = Object.entries(wrong).map(([reason, count]) => `${count} ${reason}`);
  const holds = Object.values(wrong).every((count) => count === 0);
  const scenario = "clones: frames dropped as forged or not translatable";
  return { scenario, guest: "all", configured: "0", measured: measured.join(", "), holds };
}
