// The MTU of the TAPs: an operator's bridge keeps its own and carries the longest frames both ways,
// also to and from a guest that is slow, and a bridge of forknet's has the one that was asked for.

import { expect, it, onTestFinished } from "vitest";
import { type Allocation, openNetwork } from "../../dist/index.js";
import { sh } from "../support/diagnosis.js";
import { published } from "../support/events.js";
import { udpFrame } from "../support/frames.js";
import { deleteLink, linkNamed } from "../support/kernel-view.js";
import {
  BRIDGE,
  destroyedAtEnd,
  expectNotOpened,
  openForTest,
  poolFilled,
  testOptions,
} from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";
import { REQUEST } from "../support/requests.js";

const JUMBO = 9000;
const HEADERS_BYTES = 42;
const OUTSIDE = { mac: "02:00:00:00:00:fe", ip: "192.0.2.9" };
const SLOW = { download: "128kbit", upload: "128kbit" };

const mtuOf = (name: string) => linkNamed(name)?.mtu;

/** Without ports a bridge's MTU goes by them only from the first on. */
function makeBridge(): void {
  sh(`ip link add ${BRIDGE} type bridge mcast_snooping 0; ip link set ${BRIDGE} up`);
  onTestFinished(() => deleteLink(BRIDGE));
}

/** Sends the longest frame that the MTU allows both ways, and expects each to arrive. */
async function expectLongest(outside: RawTap, guest: Allocation, mtu: number): Promise<void> {
  const tap = new RawTap({ tap: guest.tap });
  try {
    const payload = Buffer.alloc(mtu + 14 - HEADERS_BYTES, 7);
    const own = { mac: guest.mac, ip: guest.ip };
    const frame = (from: typeof own, to: typeof own) =>
      udpFrame({
        source: from.mac,
        destination: to.mac,
        sourceIp: from.ip,
        destinationIp: to.ip,
        destinationPort: 9,
        payload,
      });
    const [down, up] = [frame(OUTSIDE, own), frame(own, OUTSIDE)];
    expect(down).toHaveLength(mtu + 14);
    outside.send(down);
    expect(await tap.receive((heard) => heard.equals(down)), "to the guest").toBeDefined();
    tap.send(up);
    expect(await outside.receive((heard) => heard.equals(up)), "from the guest").toBeDefined();
  } finally {
    tap.close();
  }
}

it("takes the bridge's, which stays as it is, and loses none of its longest frames", async () => {
  makeBridge();
  const outside = openOutsidePort(BRIDGE, "outside0", JUMBO);
  expect(mtuOf(BRIDGE)).toBe(JUMBO);
  const network = await openForTest(testOptions({ isolated: false, pool: { size: 1 } }));
  await poolFilled(network, 1);
  const warm = await network.createAllocation(REQUEST);
  const slow = await network.createAllocation({
    ...SLOW,
    instanceId: "slow",
    instanceName: "slow",
    tapName: "slow0",
  });
  await Promise.all([warm.shaped, slow.shaped]);
  for (const guest of [warm, slow]) {
    expect(guest.mtu).toBe(JUMBO);
    expect(mtuOf(guest.tap)).toBe(JUMBO);
    await expectLongest(outside, guest, JUMBO);
  }
  expect(mtuOf(BRIDGE)).toBe(JUMBO);
  expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
});

it("is small where the bridge's is", async () => {
  makeBridge();
  const outside = openOutsidePort(BRIDGE, "outside0", 1400);
  const network = await openForTest(testOptions({ isolated: false }));
  const guest = await network.createAllocation({ ...REQUEST, ...SLOW });
  await guest.shaped;
  expect(mtuOf(guest.tap)).toBe(1400);
  await expectLongest(outside, guest, 1400);
  expect(await network.verify()).toMatchObject({ differences: [], warnings: [] });
});

it("is what the option says at a bridge of forknet's, and what is changed is put back", async () => {
  const network = await openForTest(testOptions({ isolated: false, mtu: JUMBO }));
  const guest = await network.createAllocation({ ...REQUEST, ...SLOW });
  await guest.shaped;
  expect([mtuOf(BRIDGE), mtuOf(guest.tap), guest.mtu]).toEqual([JUMBO, JUMBO, JUMBO]);
  sh(`ip link set ${guest.tap} mtu 1500; ip link set ${BRIDGE} mtu 1500`);
  const { differences } = await network.verify();
  expect(differences.map(({ subject, what, found }) => [subject, what, found])).toEqual([
    [BRIDGE, "mtu", "1500"],
    [guest.instanceId, "mtu", "1500"],
  ]);
  await network.reconcile();
  expect([mtuOf(BRIDGE), mtuOf(guest.tap)]).toEqual([JUMBO, JUMBO]);
  expect(await network.verify()).toMatchObject({ differences: [] });
  await expectLongest(openOutsidePort(BRIDGE, "outside0", JUMBO), guest, JUMBO);
});

it("another than that of somebody else's bridge is refused, and nothing has changed", async () => {
  makeBridge();
  openOutsidePort(BRIDGE, "outside0", JUMBO);
  await expectNotOpened(testOptions({ mtu: 1500 }), "CONFLICT", {
    message: expect.stringMatching(
      /bridge vmbr0 has MTU 9000, .* 1500: .* lost: ip link set dev vmbr0 mtu 1500, or open the network without mtu$/,
    ) as string,
  });
  expect(mtuOf(BRIDGE)).toBe(JUMBO);
});

it("follows the bridge at a restart, under guests that live", async () => {
  makeBridge();
  const options = testOptions({ isolated: false });
  destroyedAtEnd(options);
  const first = await openNetwork(options);
  const before = await first.createAllocation({ ...REQUEST, ...SLOW });
  await before.shaped;
  expect(before.mtu).toBe(1500);
  sh(`ip link set ${BRIDGE} mtu 1400`);
  expect((await first.verify()).warnings.map(({ text }) => text)).toEqual([
    expect.stringMatching(
      /1400, .* 1500: larger frames of theirs are lost: open the network again$/,
    ),
  ]);
  sh(`ip link set ${BRIDGE} mtu ${JUMBO}`);
  expect((await first.verify()).warnings).toEqual([
    {
      subject: BRIDGE,
      what: "mtu",
      text: expect.stringMatching(
        /has MTU 9000, .* 1500: larger frames to guests are lost: ip link set dev vmbr0 mtu 1500, or open the network again$/,
      ) as string,
    },
  ]);
  await first.close();
  const second = await openForTest(options);
  const after = second.getAllocation(REQUEST.instanceId) as Allocation;
  await after.shaped;
  expect([after.mtu, mtuOf(after.tap)]).toEqual([JUMBO, JUMBO]);
  await expectLongest(openOutsidePort(BRIDGE, "outside0", JUMBO), after, JUMBO);
  expect(await second.verify()).toMatchObject({ differences: [], warnings: [] });
});

it("that suits the bridge no longer locks no live guest out: it is told", async () => {
  makeBridge();
  const options = testOptions({ mtu: 1500 });
  destroyedAtEnd(options);
  const first = await openNetwork(options);
  await first.createAllocation(REQUEST);
  await first.close();
  sh(`ip link set ${BRIDGE} mtu ${JUMBO}`);
  // Or the last look at it would be refused.
  onTestFinished(() => sh(`ip link set ${BRIDGE} mtu 1500`));
  const heard = published("forknet:warning");
  const second = await openForTest(options);
  expect(heard).toMatchObject([{ what: "mtu" }]);
  expect(second.getAllocation(REQUEST.instanceId)).toMatchObject({ state: "active", mtu: JUMBO });
});
