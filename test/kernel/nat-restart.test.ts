// A network with NAT whose guests live opens again whatever happened to its uplink: it warns, and goes on
// as soon as the uplink is back. A new network is refused.

import { expect, it } from "vitest";
import type { Allocation, NetworkOptions } from "../../dist/index.js";
import { published } from "../support/events.js";
import { openInternet, setForwarding, UPLINK } from "../support/internet.js";
import { deleteLink, tellKernel } from "../support/kernel-view.js";
import { fork, reachesInternet } from "../support/nat-place.js";
import { BRIDGE, expectNotOpened, openForTest, reopen, testOptions } from "../support/network.js";
import { plugIn } from "../support/traffic-network.js";

const ID = "a";

/** A network with a guest whose process has ended, and whose uplink is gone. */
async function leaveGuest(nat: NetworkOptions["nat"]): Promise<NetworkOptions> {
  tellKernel({ op: "link.create", name: UPLINK, kind: "ifb" });
  const options = testOptions({ nat: nat as object });
  const network = await openForTest(options);
  await fork(network, ID);
  await network.close();
  deleteLink(UPLINK);
  return options;
}

it("an uplink that is gone is a warning until it is back", async () => {
  setForwarding(false);
  const options = await leaveGuest({ uplink: UPLINK, enableForwarding: true });
  const heard = published("forknet:warning");
  const network = await reopen(options, ID);
  const warning = { what: "uplink", text: expect.stringContaining(UPLINK) as string };
  expect(heard).toMatchObject([{ bridge: BRIDGE, ...warning }]);
  expect((await network.verify()).warnings).toEqual([{ subject: BRIDGE, ...warning }]);
  const internet = await openInternet();
  // A new link, which does not forward on this host.
  const { differences, warnings } = await network.verify();
  expect(differences).toMatchObject([{ what: "forwarding", expected: `1 at ${UPLINK}` }]);
  expect(warnings).toEqual([]);
  await network.reconcile();
  const guest = await plugIn(network.getAllocation(ID) as Allocation);
  expect(await reachesInternet({ guest, internet })).toBe("connected");
  expect(await network.verify()).toMatchObject({ differences: [] });
});

it("an uplink that is gone refuses a network that is not there yet", async () => {
  setForwarding(true);
  await expectNotOpened(testOptions({ nat: { uplink: UPLINK } }), "CONFIG");
});

it("forwarding that is off, and may not be turned on, is a warning until it is on", async () => {
  setForwarding(true);
  const options = await leaveGuest({});
  setForwarding(false);
  const heard = published("forknet:warning");
  const network = await reopen(options, ID);
  const text = expect.stringContaining("sysctl -w net.ipv4.ip_forward=1") as string;
  expect(heard).toMatchObject([{ bridge: BRIDGE, what: "forwarding", text }]);
  const { differences, warnings } = await network.verify();
  expect(differences).toMatchObject([{ what: "ip_forward" }]);
  expect(warnings).toMatchObject([{ subject: BRIDGE, what: "forwarding" }]);
  setForwarding(true);
  expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
});
