// Forks of a snapshot, and standby with an open connection, through the example agent.

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { Agent, type ForkTimes, type Plain, type Times } from "./agent.js";
import type { Check } from "./check.js";
import { MAC_AND_IP, words } from "./inside.js";
import { checkRates, type RatedGuest } from "./rates.js";

const SOURCE = "source";
const RATES = { download: 10_000_000, upload: 5_000_000 };
const LIMITS = {
  download: RATES.download,
  upload: { rate: RATES.upload, ceil: RATES.upload },
};
const MEASURED_MS = 3000;
/** Lines of the connection before standby, and after. */
const LINES = 10;

/** Starts an agent, forks so many machines at once, puts one of them away and brings it back. */
export async function checkForks(count: number): Promise<Check[]> {
  const agent = await Agent.start();
  try {
    await agent.ask("POST", `/vms/${SOURCE}`, LIMITS);
    const former = await agent.run(SOURCE, "cat /sys/class/net/eth0/address");
    // Memory that only the running machine has: the forks remember it.
    await agent.run(SOURCE, "echo remembered >/tmp/memory");
    await agent.ask("POST", `/vms/${SOURCE}/snapshot`);

    const ids = Array.from({ length: count }, (_, i) => `fork-${i + 1}`);
    const forks = await Promise.all(
      ids.map((id) => agent.ask<ForkTimes>("POST", `/snapshots/${SOURCE}/fork/${id}`, LIMITS)),
    );
    const checks = [
      ...forks.map(checkTimes),
      ...(await Promise.all(forks.map((fork) => checkIdentity(agent, fork, former)))),
      ...(await checkRates(
        { statistics: () => agent.ask("GET", "/statistics") },
        forks.map(({ allocation }) => ({ allocation, vm: runner(agent, allocation) })),
        forks.map(() => RATES),
        MEASURED_MS,
        "forks",
      )),
    ];
    const [first] = forks;
    if (first) checks.push(await checkStandby(agent, first.allocation));
    checks.push(await checkEnd(agent, ids));
    return checks;
  } finally {
    await agent.stop();
  }
}

function runner(agent: Agent, { instanceId }: Plain): RatedGuest["vm"] {
  return { run: (command) => agent.run(instanceId, command) };
}

export function checkTimes(times: Times): Check {
  const { allocation, networkMs, shapedMs, restoredMs, answeredMs } = times;
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  return {
    scenario: "fork: shaped before its first packet",
    guest: allocation.instanceId,
    configured: 'unshaped: "block"',
    measured: `network ${ms(networkMs)}, shaped ${ms(shapedMs)}, QEMU restored ${ms(restoredMs)}, first answer of the gateway ${ms(answeredMs)}`,
    holds: shapedMs < answeredMs,
  };
}

async function checkIdentity(
  agent: Agent,
  { allocation }: ForkTimes,
  former: string,
): Promise<Check> {
  const { instanceId, ip, mac } = allocation;
  const measured = words(await agent.run(instanceId, `${MAC_AND_IP}; cat /tmp/memory`));
  const configured = `${mac} ${ip} remembered`;
  return {
    scenario: "fork: a new identity, the same memory",
    guest: instanceId,
    configured,
    measured,
    holds: measured === configured && mac !== former,
  };
}

/** The guest counts over a connection; nothing may be missing or come twice after standby. */
async function checkStandby(agent: Agent, allocation: Plain): Promise<Check> {
  const { instanceId, gateway, ip, mac } = allocation;
  const server = createServer();
  server.listen(0, gateway);
  await once(server, "listening");
  try {
    const accepted = once(server, "connection");
    const counting = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
    const { port } = server.address() as AddressInfo;
    await agent.run(instanceId, `(${counting}) | nc ${gateway} ${port} >/dev/null 2>&1 &`);
    const [socket] = (await accepted) as [Socket];
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    const read = async (): Promise<number[]> => {
      const numbers: number[] = [];
      while (numbers.length < LINES) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`the connection of ${instanceId} has ended`);
        numbers.push(Number(value));
      }
      return numbers;
    };
    const before = await read();
    const startMs = performance.now();
    await agent.ask("POST", `/vms/${instanceId}/standby`);
    const awayMs = performance.now();
    const back = await agent.ask<Plain>("POST", `/vms/${instanceId}/restore`);
    const backMs = performance.now();
    const numbers = [...before, ...(await read())];
    const isWhole = numbers.every((number, i) => number === i + 1);
    const isSame = back.ip === ip && back.mac === mac;
    const spent = `standby ${(awayMs - startMs).toFixed(0)} ms, restore ${(backMs - awayMs).toFixed(0)} ms`;
    socket.destroy();
    return {
      scenario: "standby and restore with an open TCP connection",
      guest: instanceId,
      configured: `${mac} ${ip}, 1 to ${2 * LINES} in order`,
      measured: `${back.mac} ${back.ip}, ${isWhole ? "1" : "not 1"} to ${numbers.at(-1)} in order; ${spent}`,
      holds: isWhole && isSame,
    };
  } finally {
    server.close();
  }
}

async function checkEnd(agent: Agent, ids: readonly string[]): Promise<Check> {
  await Promise.all(ids.map((id) => agent.ask("DELETE", `/vms/${id}`)));
  const left = await agent.ask<Plain[]>("GET", "/vms");
  const spans = agent.spans();
  const wanted = ["vm.create", "vm.snapshot", "vm.fork", "vm.standby", "vm.restore", "vm.release"];
  const missing = wanted.filter((name) => !spans.has(name));
  return {
    scenario: "the agent: machines left, traces",
    guest: "all",
    configured: `0 machines; ${wanted.join(", ")}`,
    measured: `${left.length} machines; ${missing.length === 0 ? "all of them" : `no ${missing.join(", ")}`}`,
    holds: left.length === 0 && missing.length === 0,
  };
}
