// A bridge that the network made stays its own when somebody edits the alias that says so; one that
// somebody makes in its place is theirs.

import { expect, it, onTestFinished } from "vitest";
import { type NetworkOptions, openNetwork } from "../../dist/index.js";
import { sh } from "../support/diagnosis.js";
import { published } from "../support/events.js";
import { deleteLink, indexOf, linkNamed, tellKernel } from "../support/kernel-view.js";
import { BRIDGE, destroyedAtEnd, openForTest, SHAPER, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";

const ALIAS = "forknet1 /bridge 10.100.0.0/16";

function editAlias(alias: string): void {
  tellKernel({ op: "link.set", ifindex: indexOf(BRIDGE), alias });
}

/** Options of a network whose process has ended, with a guest or without. */
async function leave({ guest }: { guest: boolean }): Promise<NetworkOptions> {
  const options = testOptions();
  destroyedAtEnd(options);
  const network = await openNetwork(options);
  if (guest) await network.createAllocation(REQUEST);
  await network.close();
  return options;
}

const ALIASES = ["", "the guests'", "forknet1 /bridge 10.9.0.0/16"];

it.each(ALIASES)(
  "the alias became %j while no agent ran: back, and the bridge goes",
  async (alias) => {
    const options = await leave({ guest: true });
    editAlias(alias);
    const network = await openForTest(options);
    expect(linkNamed(BRIDGE)?.alias).toBe(ALIAS);
    expect((await network.verify()).differences).toEqual([]);
    expect(network.getAllocation(REQUEST.instanceId)?.state).toBe("active");
    await network.destroy();
    expect([linkNamed(BRIDGE), linkNamed(SHAPER)]).toEqual([undefined, undefined]);
  },
);

it("no guest lives, and the bridge is the network's all the same", async () => {
  const options = await leave({ guest: false });
  editAlias("");
  await (await openForTest(options)).destroy();
  expect(linkNamed(BRIDGE)).toBeUndefined();
});

it("alias and shaper go while the agent runs: both are back, and the bridge goes", async () => {
  const network = await openForTest();
  editAlias("the guests'");
  deleteLink(SHAPER);
  expect((await network.reconcile()).actions.filter(({ error }) => error)).toEqual([]);
  await network.reconcile();
  expect(linkNamed(BRIDGE)?.alias).toBe(ALIAS);
  expect((await network.verify()).differences).toEqual([]);
  await network.destroy();
  expect(linkNamed(BRIDGE)).toBeUndefined();
});

it("is renamed while it is up, and nat's rules would not hold: told, and named back", async () => {
  const network = await openForTest(testOptions({ nat: { enableForwarding: true } }));
  await network.createAllocation(REQUEST);
  const drift = published("forknet:drift");
  sh(`ip link set dev ${BRIDGE} name mine`);
  const told = { subject: BRIDGE, what: "name", expected: BRIDGE, found: "mine" };
  await expect
    .poll(() => drift, { timeout: patiently(5000) })
    .toContainEqual({ bridge: BRIDGE, ...told });
  expect((await network.verify()).differences).toContainEqual(told);
  expect((await network.reconcile()).actions.filter(({ error }) => error)).toEqual([]);
  expect(linkNamed(BRIDGE)).toMatchObject({ alias: ALIAS, up: true });
  expect(linkNamed("mine")).toBeUndefined();
  expect((await network.verify()).differences).toEqual([]);
});

it("is renamed, and its shaper is gone: no second bridge is made", async () => {
  const network = await openForTest();
  const ifindex = indexOf(BRIDGE);
  sh(`ip link set dev ${BRIDGE} name mine`);
  deleteLink(SHAPER);
  for (let pass = 0; pass < 3; pass++) await network.reconcile();
  expect(indexOf(BRIDGE)).toBe(ifindex);
  expect((await network.verify()).differences).toEqual([]);
});

it("one that somebody made in its place stays, and as it is", async () => {
  const options = await leave({ guest: false });
  const mac = "02:00:0a:64:00:01";
  sh(`ip link del ${BRIDGE}; ip link add ${BRIDGE} address ${mac} type bridge mcast_snooping 0
    ip link set ${BRIDGE} alias theirs up; ip address add 10.100.0.1/16 dev ${BRIDGE}`);
  onTestFinished(() => {
    if (linkNamed(BRIDGE)) deleteLink(BRIDGE);
  });
  const before = linkNamed(BRIDGE);
  const network = await openForTest(options);
  expect(linkNamed(BRIDGE)).toEqual(before);
  await network.destroy();
  expect(linkNamed(BRIDGE)).toEqual(before);
});
