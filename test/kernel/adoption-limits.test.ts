// A process that died while a guest's limits changed: the next open brings into force what the lease says, up to the last
// message of the plan.

import { expect, it } from "vitest";
import { type Network, type NetworkOptions, openNetwork } from "../../dist/index.js";
import type { ClassInfo, QdiscInfo } from "../../src/kernel/binding.js";
import type { Message } from "../../src/kernel/messages.js";
import { classNamed, leafOf, linkNamed, tellKernel } from "../support/kernel-view.js";
import { openForTest, SHAPER, testOptions } from "../support/network.js";

const REQUEST = {
  instanceId: "vm-1",
  instanceName: "alpha",
  download: "100mbit",
  upload: { rate: "20mbit", ceil: "70mbit" },
};

async function leftGuest(options: NetworkOptions) {
  const network: Network = await openNetwork(options);
  const { tap, ifindex, classId } = await network.createAllocation(REQUEST);
  await network.close();
  return { tap, ifindex, classId };
}

function leaf(classId: string): QdiscInfo {
  return leafOf(classNamed(SHAPER, classId) as ClassInfo) as QdiscInfo;
}

/** Changes something by hand, and expects it to be as it was after the next open. */
async function expectMended(
  options: NetworkOptions,
  change: Message,
  look: () => unknown,
): Promise<void> {
  const before = look();
  tellKernel(change);
  expect(look()).not.toEqual(before);
  const network = await openForTest(options);
  await network.getAllocation("vm-1")?.shaped;
  expect(look()).toEqual(before);
}

it("before the alias was written: the lease can be read from it again", async () => {
  const options = testOptions();
  const { tap, ifindex } = await leftGuest(options);
  const look = () => linkNamed(tap)?.alias;
  const alias = (look() as string).replace("100mbit", "9mbit");
  await expectMended(options, { op: "link.set", ifindex, alias }, look);
});

it("before the class's queue got its length", async () => {
  const options = testOptions();
  const { classId } = await leftGuest(options);
  const { ifindex, parent, handle, tbf } = leaf(classId);
  const queue = {
    ifindex,
    parent,
    handle,
    rate: tbf?.rate ?? 0,
    burstBytes: 1540,
    limitBytes: 99_999,
  };
  await expectMended(
    options,
    { op: "qdisc.tbf", verb: "change", ...queue },
    () => leaf(classId).tbf,
  );
});

it("leaves the queue that the release before gave a class, until the guest's limits change", async () => {
  const options = testOptions();
  const { classId } = await leftGuest(options);
  const { ifindex, parent } = leaf(classId);
  const minor = Number.parseInt(classId.slice(2), 16);
  // That release's handle and length: 100 ms at 20 mbit and 256 KiB on top.
  const former = { handle: (minor << 16) >>> 0, limitBytes: 250_000 + 262_144 };
  tellKernel({ op: "qdisc.bfifo", verb: "replace", ifindex, parent, ...former });
  const network = await openForTest(options);
  await network.getAllocation("vm-1")?.shaped;
  expect((await network.verify()).differences).toEqual([]);
  expect(leaf(classId)).toMatchObject({ kind: "bfifo", handle: former.handle });
  await network.updateLimits("vm-1", { upload: "10mbit" });
  expect(leaf(classId)).toMatchObject({ kind: "tbf", tbf: { limitBytes: 62_500 } });
  expect((await network.verify()).differences).toEqual([]);
});
