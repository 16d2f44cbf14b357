// A network whose guests live is never locked out by what others do to routes and addresses: it opens
// again, is repaired, and warns. A new network is refused.

import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, NetworkOptions } from "../../dist/index.js";
import { expectMended, sh } from "../support/diagnosis.js";
import { published } from "../support/events.js";
import {
  deleteLink,
  indexOf,
  linkNamed,
  makeForeignLink,
  tellKernel,
} from "../support/kernel-view.js";
import {
  BRIDGE,
  expectNotOpened,
  openForTest,
  reopen,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { answersPing } from "../support/ping.js";
import { REQUEST } from "../support/requests.js";
import { plugIn } from "../support/traffic-network.js";

const OTHER = "other0";
const ID = REQUEST.instanceId;

/** Another link of the host with a network behind it. */
function otherLink(): void {
  makeForeignLink(OTHER);
  onTestFinished(() => deleteLink(OTHER));
  sh(`ip address add 192.168.5.1/24 dev ${OTHER}`);
}

/** A network with a guest whose process has ended. */
async function leaveGuest(): Promise<NetworkOptions> {
  const options = testOptions();
  const network = await openForTest(options);
  await network.createAllocation(REQUEST);
  await network.close();
  return options;
}

describe("a less specific route", () => {
  const add = () => sh("ip route add 10.0.0.0/8 via 192.168.5.2");

  it("stands in nobody's way", async () => {
    otherLink();
    add();
    const heard = published("forknet:warning");
    const network = await openForTest();
    expect((await network.verify()).warnings).toEqual([]);
    expect(heard).toEqual([]);
  });

  it("added while the agent is away leaves its guests where they are", async () => {
    otherLink();
    const options = await leaveGuest();
    add();
    const network = await reopen(options, ID);
    const guest = await plugIn(network.getAllocation(ID) as Allocation);
    expect(await answersPing(guest.options.ip, 56)).toBe(true);
    expect((await network.verify()).warnings).toEqual([]);
  });

  it("does not keep reconcile from making a bridge that was deleted anew", async () => {
    otherLink();
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    add();
    deleteLink(BRIDGE);
    const { actions } = await network.reconcile();
    expect(actions.filter(({ error }) => error)).toEqual([]);
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("what is as specific as the subnet, or more", () => {
  const taking: [string, string, string][] = [
    [
      "a route of the same length",
      "ip route prepend 10.100.0.0/16 via 192.168.5.2",
      "10.100.0.0/16 dev other0",
    ],
    [
      "a more specific route",
      "ip route add 10.100.32.0/20 via 192.168.5.2",
      "10.100.32.0/20 dev other0",
    ],
    ["a route into nothing", "ip route prepend blackhole 10.100.0.0/16", "blackhole 10.100.0.0/16"],
    [
      "a part that is unreachable",
      "ip route add unreachable 10.100.7.0/24 metric 9",
      "unreachable 10.100.7.0/24",
    ],
    ["a part that is prohibited", "ip route add prohibit 10.100.7.7/32", "prohibit 10.100.7.7/32"],
    [
      "a part that the table does not know",
      "ip route add throw 10.100.8.0/24",
      "throw 10.100.8.0/24",
    ],
    [
      "a part that is the host itself",
      "ip route add local 10.100.6.0/24 dev lo",
      "local 10.100.6.0/24 dev lo",
    ],
    [
      "a route in a table that a rule names",
      "ip route add 10.100.32.0/20 via 192.168.5.2 table 100; ip rule add to 10.0.0.0/8 lookup 100",
      "10.100.32.0/20 dev other0 table 100",
    ],
    [
      "an address of another link",
      "ip address add 10.100.9.9/32 dev other0",
      "10.100.9.9/32 on other0",
    ],
    [
      "a neighbouring network around it",
      "ip address add 10.1.0.5/8 dev other0",
      "10.1.0.5/8 on other0",
    ],
  ];
  function clean(): void {
    const routes = [
      "type blackhole",
      "type unreachable",
      "type prohibit",
      "type throw",
      "table 100",
    ];
    // A flush of what is not there is an error.
    for (const which of [...routes, "table local 10.100.6.0/24"])
      sh(`ip route flush ${which} 2>/dev/null || true`);
    sh("ip rule del lookup 100 2>/dev/null || true");
  }

  it.each(taking)(
    "%s refuses a new network, with the command that takes it away",
    async (_, command, found) => {
      otherLink();
      onTestFinished(clean);
      sh(command);
      await expectNotOpened(testOptions(), "CONFLICT", {
        message: expect.stringContaining(
          `overlaps ${found.includes(" on ") ? "" : "the route "}${found}`,
        ) as string,
      });
    },
  );

  it.each(taking)("%s is a warning where guests live", async (_, command, found) => {
    otherLink();
    onTestFinished(clean);
    const options = await leaveGuest();
    sh(command);
    const heard = published("forknet:warning");
    const network = await reopen(options, ID);
    expect(heard).toMatchObject([
      { bridge: BRIDGE, text: expect.stringContaining(found) as string },
    ]);
    const { warnings, differences } = await network.verify();
    expect(warnings).toMatchObject([
      { subject: BRIDGE, text: expect.stringContaining(found) as string },
    ]);
    expect(differences).toEqual([]);
    await expectMended("bridge.subnet", "warning", new RegExp(found.replaceAll(".", "\\.")));
    expect((await network.verify()).warnings).toEqual([]);
  });

  it.each([
    [
      "a fallback that the bridge's own route comes before",
      "ip route add blackhole 10.100.0.0/16 metric 20",
    ],
    [
      "a route in a table that no rule names",
      "ip route add 10.100.0.0/16 via 192.168.5.2 table 100",
    ],
  ])("%s is neither", async (_, command) => {
    otherLink();
    onTestFinished(clean);
    sh(command);
    const network = await openForTest();
    expect((await network.verify()).warnings).toEqual([]);
  });

  it("does not keep reconcile from making a bridge that was deleted anew", async () => {
    otherLink();
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    sh("ip route add 10.100.32.0/20 via 192.168.5.2");
    deleteLink(BRIDGE);
    const { actions } = await network.reconcile();
    expect(actions.filter(({ error }) => error)).toEqual([]);
    const { warnings, differences } = await network.verify();
    expect(differences).toEqual([]);
    expect(warnings.map(({ what }) => what)).toEqual(["route"]);
  });
});

describe("another address on the bridge", () => {
  it.each(["192.168.7.1/24", "10.100.0.1/24", "10.100.3.1/16"])(
    "(%s) locks nobody out",
    async (address) => {
      const options = await leaveGuest();
      sh(`ip address add ${address} dev ${BRIDGE}`);
      // Or the bridge would be left.
      onTestFinished(() => sh(`ip address del ${address} dev ${BRIDGE}`));
      const network = await reopen(options, ID);
      expect((await network.verify()).differences).toEqual([]);
      await expectNotOpened({ ...options, subnet: "10.200.0.0/16" }, "CONFLICT");
    },
  );

  it("is refused on a bridge that somebody made in place of the network's", async () => {
    const options = await leaveGuest();
    deleteLink(BRIDGE);
    sh(`ip link add ${BRIDGE} type bridge; ip address add 192.168.7.1/24 dev ${BRIDGE}`);
    await expectNotOpened(options, "CONFLICT", {
      message: expect.stringContaining("192.168.7.1/24") as string,
    });
    deleteLink(BRIDGE);
    await reopen(options, ID);
  });
});

it("a shaper whose alias was edited is still the network's, and has it again", async () => {
  const options = await leaveGuest();
  const alias = linkNamed(SHAPER)?.alias;
  sh(`ip link set dev ${SHAPER} alias "mine"`);
  const network = await reopen(options, ID);
  expect(linkNamed(SHAPER)?.alias).toBe(alias);
  expect((await network.verify()).differences).toEqual([]);
});

it("a foreign link in the link group that deletions go by stays, and guests go", async () => {
  const options = await leaveGuest();
  const group = 0x666b0000 | indexOf(BRIDGE);
  tellKernel({ op: "link.set", ifindex: makeForeignLink("stranger"), group });
  onTestFinished(() => deleteLink("stranger"));
  const network = await reopen(options, ID);
  const { tap } = network.getAllocation(ID) as { tap: string };
  await network.releaseAllocation(ID);
  expect(linkNamed(tap)).toBeUndefined();
  expect(linkNamed("stranger")).toMatchObject({ group });
});
