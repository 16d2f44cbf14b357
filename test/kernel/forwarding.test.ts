// Forwarding link by link: what a network turns on, by traffic; what it tells and repairs when somebody
// turns it off; and what it puts back.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import {
  firewall,
  INTERNET_IP,
  isForwarding,
  openInternet,
  setForwarding,
  UPLINK,
} from "../support/internet.js";
import { deleteLink, indexOf, ipNumber, tellKernel } from "../support/kernel-view.js";
import { fork, reachesInternet } from "../support/nat-place.js";
import {
  BRIDGE,
  destroyedAtEnd,
  expectNotOpened,
  openForTest,
  testOptions,
} from "../support/network.js";
import { plugIn } from "../support/traffic-network.js";

const OTHER = "other0";

const withNat = (nat: NetworkOptions["nat"], rest: Partial<NetworkOptions> = {}) =>
  testOptions({ nat: nat as object, ...rest });

const switchOf = (link: string) => `/proc/sys/net/ipv4/conf/${link}/forwarding`;
const forwards = (link: string) => readFileSync(switchOf(link), "utf8").trim() === "1";

function turn(link: string, isOn: boolean): void {
  writeFileSync(switchOf(link), isOn ? "1" : "0");
}

/** A host with an uplink and another link, of which none forwards. */
async function openHost({ hasDefaultRoute = true } = {}) {
  setForwarding(false);
  const internet = await openInternet();
  if (hasDefaultRoute)
    tellKernel({
      op: "route.add",
      destination: 0,
      prefixLength: 0,
      gateway: ipNumber(INTERNET_IP),
      ifindex: indexOf(UPLINK),
    });
  tellKernel({ op: "link.create", name: OTHER, kind: "ifb" });
  onTestFinished(() => deleteLink(OTHER));
  return internet;
}

/** What the bridge gets when it is made. */
beforeEach(() => {
  const former = forwards("default");
  onTestFinished(() => turn("default", former));
});

describe.each([
  ["the uplink that is named", { uplink: UPLINK }],
  ["the link of the default route", {}],
])("a host that forwards nothing, %s", (_, nat) => {
  it("forwards for the guests and for nobody else, and is as before after destroy", async () => {
    const internet = await openHost();
    const network = await openForTest(withNat({ ...nat, enableForwarding: true }));
    const guest = await plugIn(await fork(network, "a"));
    expect(await reachesInternet({ guest, internet })).toBe("connected");
    expect([BRIDGE, UPLINK, OTHER].map(forwards)).toEqual([true, true, false]);
    expect(isForwarding()).toBe(false);
    expect(await network.verify()).toMatchObject({ differences: [] });
    await network.destroy();
    expect([UPLINK, OTHER].map(forwards)).toEqual([false, false]);
  });

  it("is not touched unless that was asked for", async () => {
    await openHost();
    await expectNotOpened(withNat(nat), "CONFIG", {
      message: expect.stringMatching(
        /at up0, which is off: run `sysctl -w net\/ipv4\/conf\/up0\/forwarding=1`.*enableForwarding: true/,
      ),
    });
    expect(forwards(UPLINK)).toBe(false);
    turn(UPLINK, true);
    const network = await openForTest(withNat(nat));
    expect(forwards(BRIDGE)).toBe(true);
    await network.destroy();
    expect(forwards(UPLINK)).toBe(true);
  });
});

describe("a host that forwards, but not at", () => {
  it.each([BRIDGE, UPLINK])("%s: that is told, and repaired where it may be", async (link) => {
    const internet = await openHost();
    setForwarding(true);
    const network = await openForTest(withNat({ enableForwarding: true }));
    const guest = await plugIn(await fork(network, "a"));
    turn(link, false);
    const { differences } = await network.verify();
    expect(differences).toEqual([
      { subject: BRIDGE, what: "forwarding", expected: `1 at ${link}`, found: "0" },
    ]);
    const { actions } = await network.reconcile();
    expect(actions).toMatchObject([{ action: "repair", subject: BRIDGE }]);
    expect(forwards(link)).toBe(true);
    expect(await reachesInternet({ guest, internet })).toBe("connected");
    expect(await network.verify()).toMatchObject({ differences: [] });
  });

  it("links that are made from now on: the bridge forwards all the same", async () => {
    const internet = await openHost();
    setForwarding(true);
    turn("default", false);
    const network = await openForTest(withNat({}));
    const guest = await plugIn(await fork(network, "a"));
    expect(await reachesInternet({ guest, internet })).toBe("connected");
  });

  it("the uplink of a network that may not turn it on: the firewall is repaired all the same", async () => {
    await openHost();
    setForwarding(true);
    const network = await openForTest(withNat({ repair: false }));
    turn(UPLINK, false);
    firewall("nft delete table ip forknet-vmbr0");
    const { actions } = await network.reconcile();
    expect(actions[0]?.error).toMatchObject({ code: "ERR_FORKNET_CONFIG" });
    const { differences } = await network.verify();
    expect(differences.map(({ what }) => what)).toEqual(["forwarding"]);
    expect(forwards(UPLINK)).toBe(false);
  });
});

describe("what was turned on", () => {
  it("is put back by the process that destroys the network, after a crash, too", async () => {
    await openHost();
    const options = withNat({ enableForwarding: true });
    destroyedAtEnd(options);
    const agent = new Agent();
    await agent.open(options);
    await agent.kill();
    const network = await openForTest(options);
    expect(forwards(UPLINK)).toBe(true);
    await network.destroy();
    expect(forwards(UPLINK)).toBe(false);
  });

  it("is put back when the network opens without nat", async () => {
    await openHost();
    const options = withNat({ enableForwarding: true });
    await (await openForTest(options)).close();
    await openForTest({ ...options, nat: false });
    expect([BRIDGE, UPLINK].map(forwards)).toEqual([true, false]);
  });

  it("is put back when the network does not open", async () => {
    await openHost();
    firewall("nft add table ip forknet-vmbr0");
    onTestFinished(() => firewall("nft delete table ip forknet-vmbr0"));
    await expectNotOpened(withNat({ enableForwarding: true }), "CONFLICT");
    expect(forwards(UPLINK)).toBe(false);
  });

  it.each<[string, () => void, boolean]>([
    ["when somebody has turned the host's switch on since", () => setForwarding(true), true],
    ["when somebody has turned it off and is content", () => turn(UPLINK, false), false],
  ])("stays %s", async (__, change, isOn) => {
    await openHost();
    const network = await openForTest(withNat({ enableForwarding: true }));
    change();
    await network.destroy();
    expect(forwards(UPLINK)).toBe(isOn);
  });

  it("stays while another network is there", async () => {
    await openHost();
    const first = await openForTest(withNat({ enableForwarding: true }));
    const other = { bridge: "vmbr1", subnet: "10.101.0.0/16" };
    const second = await openForTest(withNat({}, other));
    await first.destroy();
    expect(forwards(UPLINK)).toBe(true);
    expect(await second.verify()).toMatchObject({ differences: [] });
  });
});

it("a network of the former release, for which the whole host forwards, goes on", async () => {
  const internet = await openHost();
  const options = withNat({ enableForwarding: true });
  await (await openForTest(options)).close();
  // What that release leaves: an empty record, and the host's own switch.
  writeFileSync(join(options.stateDir as string, "nat"), "");
  setForwarding(true);
  const network = await openForTest(options);
  const guest = await plugIn(await fork(network, "a"));
  expect(await reachesInternet({ guest, internet })).toBe("connected");
  expect(await network.verify()).toMatchObject({ differences: [] });
  await network.destroy();
  expect(isForwarding()).toBe(true);
  expect([UPLINK, OTHER].map(forwards)).toEqual([true, true]);
});

it("a host without a default route forwards as a whole, as no uplink is known", async () => {
  const internet = await openHost({ hasDefaultRoute: false });
  const network = await openForTest(withNat({ enableForwarding: true }));
  const guest = await plugIn(await fork(network, "a"));
  expect(await reachesInternet({ guest, internet })).toBe("connected");
  expect(isForwarding()).toBe(true);
});

it("every link of a default route with several hops is an uplink", async () => {
  await openHost({ hasDefaultRoute: false });
  firewall(`ip link set ${OTHER} up; ip addr add 198.51.100.1/24 dev ${OTHER}
    ip route add default nexthop via ${INTERNET_IP} nexthop via 198.51.100.2`);
  const network = await openForTest(withNat({ enableForwarding: true }));
  expect([UPLINK, OTHER].map(forwards)).toEqual([true, true]);
  await network.destroy();
  expect([UPLINK, OTHER].map(forwards)).toEqual([false, false]);
});
