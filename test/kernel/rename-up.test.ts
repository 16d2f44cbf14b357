// Warm slots that take an exact name on kernels before 6.2, where they are down for that moment: they
// do not stay down, whatever the kernel refuses in it.

import { expect, it, onTestFinished } from "vitest";
import { openWith } from "../../dist/open.js";
import { ERRNO, Faults } from "../support/faults.js";
import { linkNamed, warmSlots } from "../support/kernel-view.js";
import { BRIDGE, destroyNetwork, poolFilled, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const NAME = "tap-exact";
/** What is sent about the link: down, the name with up, and up alone when that was refused. */
const WITH_NAME = 2;

it.each([
  ["nothing", 0],
  ["the name", 1],
  ["the name, and to be up again", 2],
])("a slot that is refused %s is up all the same", async (_what, times) => {
  const options = testOptions({ pool: { size: 1 } });
  const faults = new Faults();
  const kernelModule = new URL("../support/before-6.2-kernel.mjs", import.meta.url).href;
  const network = await openWith(options, { kernelModule });
  onTestFinished(() => destroyNetwork(network, options));
  await poolFilled(network, 1);
  const [warm = ""] = warmSlots(BRIDGE);
  const ifindex = linkNamed(warm)?.ifindex;

  faults.refuse({ errno: ERRNO.EBUSY, at: WITH_NAME, times, match: "RTM_NEWLINK" });
  const allocation = await network.createAllocation({ ...REQUEST, tapName: NAME });
  expect(faults.failed).toBe(times);
  faults.none();
  expect(allocation).toMatchObject({ tap: NAME, ifindex });
  expect(linkNamed(NAME)).toMatchObject({ up: true, port: { isolated: true } });
  expect((await network.verify()).differences).toEqual([]);
});
