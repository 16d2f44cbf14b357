// The drop-ins of integration/ with the daemons that they are for: systemd-networkd, NetworkManager
// and udev leave a network alone that they would take apart, or work on, without.

import { existsSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  CATCH_ALL_ADDRESS,
  startNetworkd,
  startNetworkManager,
  udevOf,
} from "../support/host-daemons.js";
import {
  deleteLink,
  indexOf,
  ipNumber,
  linkNamed,
  makeForeignLink,
  makeTap,
  tellKernel,
  withNetlink,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, SHAPER } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";

/** As networkd does, on a machine that is not busy with something else. */
const SOON = { timeout: patiently(20_000) };

function hasCatchAllAddress(link: string): boolean {
  const addresses = withNetlink((netlink) => netlink.addresses(indexOf(link)));
  return addresses.some(({ ip }) => ip === ipNumber(CATCH_ALL_ADDRESS));
}

/** Resolves when systemd-networkd has configured a link that is made now: it takes them in turn. */
async function networkdHasCaughtUp(name: string): Promise<void> {
  makeForeignLink(name);
  onTestFinished(() => deleteLink(name));
  await expect.poll(() => hasCatchAllAddress(name), SOON).toBe(true);
}

describe("systemd-networkd with a file for every link", () => {
  it("takes a guest off its bridge without our drop-in", async () => {
    // With the address that it got it is not the network's alone any more, and stays.
    onTestFinished(() => deleteLink(BRIDGE));
    const network = await openForTest();
    const { tap } = await network.createAllocation(REQUEST);
    startNetworkd({ dropIn: false });
    await expect.poll(() => linkNamed(tap)?.master, SOON).toBe(0);
  });

  it("leaves bridge, shaper and guests alone with it, also those that come later", async () => {
    const network = await openForTest();
    const first = await network.createAllocation(REQUEST);
    startNetworkd({ dropIn: true });
    await networkdHasCaughtUp("other0");
    const second = await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
    await networkdHasCaughtUp("other1");
    await Promise.all([first.shaped, second.shaped]);
    expect(await network.verify()).toMatchObject({ compared: 2, differences: [] });
    const ours = [BRIDGE, SHAPER, first.tap, second.tap];
    expect(ours.filter(hasCatchAllAddress)).toEqual([]);
  });
});

// Installing it on a machine in use would hand that machine's links to it: see scripts/setup.sh.
const isMissing = !existsSync("/usr/sbin/NetworkManager");
const maySkip = process.env.FORKNET_REQUIRE_KERNEL !== "1";

describe.skipIf(isMissing && maySkip)("NetworkManager", () => {
  const isManaged = (states: Map<string, string>, link: string) =>
    states.has(link) && states.get(link) !== "unmanaged";

  it("has a connection for the bridge and for each guest without our drop-in", async () => {
    const network = await openForTest();
    const { tap } = await network.createAllocation(REQUEST);
    const states = startNetworkManager({ dropIn: false });
    for (const link of [BRIDGE, tap])
      await expect.poll(() => isManaged(states(), link), SOON).toBe(true);
  });

  it("has none with it, also for those that come later", async () => {
    const network = await openForTest();
    const first = await network.createAllocation(REQUEST);
    const states = startNetworkManager({ dropIn: true });
    await expect.poll(() => isManaged(states(), "lo"), SOON).toBe(true);
    const second = await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
    makeTap("other0", { master: BRIDGE });
    tellKernel({ op: "link.set", ifindex: indexOf("other0"), up: true });
    await expect.poll(() => isManaged(states(), "other0"), SOON).toBe(true);
    const found = states();
    for (const link of [BRIDGE, SHAPER, first.tap, second.tap])
      expect([link, found.get(link)]).toEqual([link, "unmanaged"]);
    deleteLink("other0");
  });
});

describe("udev with our rule and our .link file", () => {
  it("makes no device unit of a TAP or a shaper, runs nothing, tells the managers", async () => {
    const network = await openForTest();
    const { tap } = await network.createAllocation(REQUEST);
    for (const link of [tap, SHAPER]) {
      const before = linkNamed(link)?.mac;
      const { properties, runs } = udevOf(link);
      expect(properties).toMatchObject({
        ID_NET_LINK_FILE: "/etc/systemd/network/10-forknet.link",
        NM_UNMANAGED: "1",
        ID_NET_MANAGED_BY: "forknet",
      });
      expect(properties.TAGS ?? "").not.toContain("systemd");
      // A builtin, which starts no process; without a value RUN cannot be emptied.
      expect(runs).toEqual(["net_id"]);
      expect(linkNamed(link)?.mac).toBe(before);
    }
  });

  it("goes on as before with links of others", () => {
    makeTap("tap7", {});
    const { properties, runs } = udevOf("tap7");
    expect(properties.TAGS).toContain("systemd");
    expect(properties).not.toHaveProperty("NM_UNMANAGED");
    expect(runs).toEqual([expect.stringContaining("systemd-sysctl --prefix=/net/ipv4/conf/tap7")]);
  });
});
