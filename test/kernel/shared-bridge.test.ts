// A bridge that the host itself is on, with an uplink port: the host stays reachable over IPv4 and IPv6
// whatever the network does, nothing of it is changed, and what cannot be had that way is refused.

import { execFileSync } from "node:child_process";
import { describe, expect, it, onTestFinished } from "vitest";
import { type NetworkOptions, openNetwork } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forkClones, reaches, wake } from "../support/clones.js";
import { sh } from "../support/diagnosis.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  deleteLink,
  indexOf,
  linkNamed,
  macNumber,
  makeForeignLink,
  tellKernel,
} from "../support/kernel-view.js";
import {
  BRIDGE,
  destroyedAtEnd,
  expectNotOpened,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { answersPing } from "../support/ping.js";
import { REQUEST } from "../support/requests.js";
import {
  HOST,
  makeSharedHost,
  ROUTER,
  reachableThroughout,
  UPLINK,
  UPLINK_MAC,
} from "../support/shared-host.js";
import { plugIn } from "../support/traffic-network.js";

/** Strangers in every link group make an open fail at one of its last steps. */
function standInTheWay(): () => void {
  const names = ["s0", "s1", "s2", "s3"];
  names.forEach((name, i) => {
    const group = 0x666b0000 + i * 0x10000 + indexOf(BRIDGE);
    tellKernel({ op: "link.set", ifindex: makeForeignLink(name), group });
  });
  return () => names.forEach(deleteLink);
}

describe.each([
  ["that follows its uplink", undefined],
  ["of its own", "02:11:22:33:44:55"],
])("a bridge with a MAC %s", (_, mac) => {
  const gatewayMac = mac ?? UPLINK_MAC;

  it("stays as it is, and the host reachable, through a network's whole life", async () => {
    const host = await makeSharedHost(mac === undefined ? {} : { mac });
    const before = host.state();
    const unchanged = (when: string) =>
      expect(compareKernelStates(before, host.state()), when).toEqual([]);
    const options = testOptions({ pool: { size: 4 } });
    destroyedAtEnd(options);

    await reachableThroughout(host, async () => {
      const goAway = standInTheWay();
      await expectNotOpened(options, "CONFLICT");
      goAway();
      unchanged("after an open that failed");

      const agent = new Agent();
      await agent.open(options);
      for (const id of ["vm-1", "vm-2", "vm-3"]) {
        await agent.fork({ instanceId: id, instanceName: id, download: "50mbit" });
        unchanged(`with ${id}`);
      }
      await agent.kill();
      unchanged("after the agent was killed");

      const network = await openNetwork(options);
      onTestFinished(() => network.close());
      await poolFilled(network, 4);
      unchanged("after its guests were adopted");
      const allocation = network.getAllocation("vm-1");
      if (!allocation) throw new Error("vm-1 was not adopted");
      const guest = await plugIn(allocation);
      expect(await answersPing(HOST.ip, 56, guest)).toBe(true);
      expect(await answersPing(allocation.ip, 56)).toBe(true);
      expect(linkNamed(BRIDGE)?.mac).toBe(macNumber(gatewayMac));
      await guest.stop();
      await network.standbyAllocation("vm-1");
      await network.recreateAllocation("vm-1");
      await network.releaseAllocation("vm-2");
      expect((await network.reconcile()).actions).toEqual([]);
      expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
      unchanged("after standby, restore, release and reconcile");
      await network.destroy();
      unchanged("after destroy");
    });
  });

  it("is what translated guests send to, also when the operator gives it another", async () => {
    const host = await makeSharedHost(mac === undefined ? {} : { mac });
    const network = await openForTest(testOptions({ translate: true }));
    const [clone] = await forkClones(network, 1);
    if (!clone) throw new Error("no clone");
    const guest = await wake(clone);
    expect(await reaches(guest, clone)).toBe(true);
    sh(`ip link set dev ${BRIDGE} address 02:66:77:88:99:aa`);
    const { differences } = await network.verify();
    expect(differences).toContainEqual({
      subject: BRIDGE,
      what: "mac",
      expected: gatewayMac,
      found: "02:66:77:88:99:aa",
    });
    const before = host.state();
    expect((await network.reconcile()).actions.filter(({ error }) => error)).toEqual([]);
    expect(compareKernelStates(before, host.state())).toEqual([]);
    expect((await network.verify()).differences).toEqual([]);
    expect(await reaches(guest, clone)).toBe(true);
  });
});

/** Options of a network with a guest whose process has ended. */
async function leaveGuest(): Promise<NetworkOptions> {
  const options = testOptions();
  destroyedAtEnd(options);
  const network = await openNetwork(options);
  await network.createAllocation(REQUEST);
  await network.close();
  return options;
}

describe("what forknet needs there and may not have", () => {
  it("is refused: rules that take everything behind the bridge for guests", async () => {
    const host = await makeSharedHost();
    await reachableThroughout(host, async () => {
      await expectNotOpened(testOptions({ nat: { enableForwarding: true } }), "CONFLICT", {
        message: expect.stringContaining(`${UPLINK} is a port of it: ip link set dev`) as string,
      });
    });
  });

  it("is refused: a bridge that is down, and is the host's to bring up", async () => {
    const host = await makeSharedHost();
    sh(`ip link set ${BRIDGE} down`);
    const before = host.state();
    await expectNotOpened(testOptions(), "CONFLICT", {
      message: expect.stringContaining(`ip link set dev ${BRIDGE} up`) as string,
    });
    expect(compareKernelStates(before, host.state())).toEqual([]);
  });

  it("is a warning where guests live, and stays as it is", async () => {
    const host = await makeSharedHost();
    const options = await leaveGuest();
    sh(`sysctl -q -w net.ipv4.ip_forward=1; ip link set ${BRIDGE} down`);
    const before = host.state();
    const network = await openNetwork({ ...options, nat: { enableForwarding: true } });
    onTestFinished(() => network.close());
    const { warnings } = await network.verify();
    expect(warnings.map(({ what }) => what)).toEqual(["up", "nat"]);
    await network.reconcile();
    expect(compareKernelStates(before, host.state())).toEqual([]);
    sh(`ip link set ${BRIDGE} up`);
    expect((await network.verify()).warnings.map(({ what }) => what)).toEqual(["nat"]);
  });
});

it("no guest gets the address of a router or of a neighbour that the host knows", async () => {
  await makeSharedHost();
  sh(`ip neigh add 10.100.0.77 lladdr 02:00:00:00:00:77 dev ${BRIDGE} nud reachable`);
  const network = await openForTest();
  for (const ip of [ROUTER.ip, "10.100.0.77"])
    await expect(network.createAllocation({ ...REQUEST, ip })).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
  await expect(network.createAllocation({ ...REQUEST, mac: UPLINK_MAC })).rejects.toMatchObject({
    code: "ERR_FORKNET_ADDRESS_IN_USE",
  });
  expect((await network.createAllocation({ ...REQUEST, ip: "10.100.0.78" })).state).toBe("active");
});

it("the address of a guest that was being deleted is free, whatever MAC it had", async () => {
  const options = testOptions();
  const identity = { ...REQUEST, ip: "10.100.0.77", mac: "02:00:00:00:00:77" };
  const former = await openForTest(options);
  const { tap } = await former.createAllocation(identity);
  await former.close();
  const condemned = 0x666b0000 + indexOf(BRIDGE);
  tellKernel({ op: "link.set", ifindex: indexOf(tap), group: condemned });
  const network = await openForTest(options);
  const created = async () => (await network.createAllocation(identity)).state;
  // Until it is deleted, the address is in use.
  await expect.poll(() => created().catch(() => "refused")).toBe("active");
});

it("our own bridge, once the host uses it, keeps what the host was given", async () => {
  const options = await leaveGuest();
  makeForeignLink("uplink9");
  // Or the bridge would be left.
  onTestFinished(() => sh(`ip link del uplink9; ip -6 address flush dev ${BRIDGE}`));
  sh(`
    sysctl -q -w net/ipv6/conf/${BRIDGE}/disable_ipv6=0 net/ipv4/neigh/${BRIDGE}/mcast_solicit=3
    ip link set uplink9 master ${BRIDGE}
    ip address add ${HOST.ipv6}/64 dev ${BRIDGE} nodad`);
  const state = () => {
    const solicit = `sysctl -n net/ipv4/neigh/${BRIDGE}/mcast_solicit`;
    const read = `ip -o -6 address show dev ${BRIDGE} scope global; ${solicit}`;
    return execFileSync("sh", ["-ec", read]).toString();
  };
  const before = state();
  const network = await openNetwork(options);
  onTestFinished(() => network.close());
  expect(state()).toBe(before);
  expect((await network.verify()).differences).toEqual([]);
  expect((await network.reconcile()).actions).toEqual([]);
  expect(state()).toBe(before);
});

it("a bridge of others that they rename is told, and is theirs to name back", async () => {
  const host = await makeSharedHost();
  const network = await openForTest();
  await network.createAllocation(REQUEST);
  const ifindex = indexOf(BRIDGE);
  sh(`ip link set dev ${BRIDGE} name theirs0`);
  // Or nothing of the test would be taken away.
  onTestFinished(() => {
    if (linkNamed("theirs0")) sh(`ip link set dev theirs0 name ${BRIDGE}`);
  });
  const told = { subject: BRIDGE, what: "name", expected: BRIDGE, found: "theirs0" };
  expect((await network.verify()).differences).toEqual([told]);
  const { actions } = await network.reconcile();
  expect(actions.map(({ error }) => error?.message)).toEqual([
    expect.stringContaining(`ip link set dev theirs0 name ${BRIDGE}`),
  ]);
  // Nor is a second one made for another reason.
  deleteLink(SHAPER);
  await network.reconcile();
  expect([linkNamed(BRIDGE), indexOf("theirs0")]).toEqual([undefined, ifindex]);
  sh(`ip link set dev theirs0 name ${BRIDGE}`);
  await network.reconcile();
  await network.reconcile();
  expect((await network.verify()).differences).toEqual([]);
  expect(host.state().join()).toContain("default via");
});

it("the gateway's address that the operator had and takes away is added, and goes again", async () => {
  const host = await makeSharedHost();
  const network = await openForTest();
  await network.createAllocation(REQUEST);
  // With the first address of a subnet the kernel deletes the others.
  sh(`sysctl -q -w net.ipv4.conf.${BRIDGE}.promote_secondaries=1
    ip address add 10.100.7.7/16 dev ${BRIDGE}`);
  const gateway = `${HOST.ip}/16`;
  sh(`ip address del ${gateway} dev ${BRIDGE}; ip route replace default via ${ROUTER.ip}`);
  const before = host.state();
  expect((await network.verify()).differences).toEqual([
    { subject: BRIDGE, what: "address", expected: gateway, found: "nothing" },
  ]);
  expect((await network.reconcile()).actions.filter(({ error }) => error)).toEqual([]);
  expect(host.state().join()).toContain(`inet ${gateway} `);
  expect((await network.verify()).differences).toEqual([]);
  await network.destroy();
  expect(compareKernelStates(before, host.state())).toEqual([]);
});
