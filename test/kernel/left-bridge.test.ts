// A bridge that forknet made and that others use by now stays when the network goes, without what was
// forknet's on it.

import { execFileSync } from "node:child_process";
import { expect, it, onTestFinished } from "vitest";
import { sh } from "../support/diagnosis.js";
import { deleteLink, indexOf, linkNamed, makeForeignLink } from "../support/kernel-view.js";
import { BRIDGE, openForTest, SHAPER } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const USES = {
  "an uplink as its port": `ip link set up0 master ${BRIDGE}`,
  "an address of the host's": `ip address add 192.168.7.10/24 dev ${BRIDGE}`,
  "the host's way to the world": `ip link set up0 master ${BRIDGE}
    ip address add 192.168.7.10/24 dev ${BRIDGE}; ip route add default via 192.168.7.1`,
  "an address and no alias of forknet's": `ip address add 192.168.7.10/24 dev ${BRIDGE}
    ip link set dev ${BRIDGE} alias theirs`,
};

it.each(Object.entries(USES))("our own bridge stays, as theirs, with %s", async (_, use) => {
  const network = await openForTest();
  const { tap } = await network.createAllocation(REQUEST);
  makeForeignLink("up0");
  onTestFinished(() => ["up0", BRIDGE].filter(linkNamed).forEach(deleteLink));
  sh(`ip link set up0 up; ${use}`);
  const read = () => {
    const commands = `ip -o -4 address show dev ${BRIDGE}; ip route; ip -br link show master ${BRIDGE}`;
    // Without our TAPs it may have no carrier.
    return execFileSync("sh", ["-ec", commands]).toString().replaceAll(" linkdown", "").split("\n");
  };
  const isTheirs = (line: string) => !line.includes("10.100.0.") && !line.includes(tap);
  const before = [indexOf(BRIDGE), ...read().filter(isTheirs)];
  await network.destroy();
  expect([indexOf(BRIDGE), ...read()]).toEqual(before);
  const alias = use.includes("alias") ? "theirs" : "";
  expect(linkNamed(BRIDGE)).toMatchObject({ alias, up: true });
  expect(linkNamed(SHAPER)).toBeUndefined();
  // Another network is a guest there, and leaves it, too, when nobody else uses it any more.
  sh(`ip address flush dev ${BRIDGE} scope global`);
  const second = await openForTest();
  sh("ip link del up0");
  await second.destroy();
  expect(indexOf(BRIDGE)).toBe(before[0]);
});
