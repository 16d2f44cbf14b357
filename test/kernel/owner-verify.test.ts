// A TAP whose owner somebody has changed: verify tells it, reconcile gives the TAP back when nobody
// has it open, and says what to do when somebody has.

import { expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import { forknetJson } from "../support/cli.js";
import { published } from "../support/events.js";
import { linkNamed, readLeases, warmSlots } from "../support/kernel-view.js";
import { LeaseMap } from "../support/lease-map.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { TapOpener } from "../support/tap-opener.js";

const SHARED = 70_001;
const OWN = 70_002;
const STRANGER = 70_003;
const GROUP = 70_004;
const REQUEST = { instanceId: "vm-1", instanceName: "alpha", upload: "20mbit" };

/** Opens a TAP as root can; whoever has it open may change its owner. */
function open(name: string, owner: { owner?: number; group?: number } = {}): () => void {
  const { fd } = loadAddon().openTap({ name, vnetHdr: true, ...owner });
  return () => loadAddon().closeFd(fd);
}

it.each([
  ["of its own", { owner: { uid: OWN } }, OWN],
  ["of the network", {}, SHARED],
])("a guest's TAP is given back to the owner %s", async (_, wish, uid) => {
  const network = await openForTest(testOptions({ tap: { owner: SHARED } }));
  const { tap } = await network.createAllocation({ ...REQUEST, ...wish });
  open(tap, { owner: STRANGER })();
  const stranger = await TapOpener.as({ uid: STRANGER });
  expect(await stranger.tries(tap)).toBe("opened");
  const difference = { what: "owner", expected: `uid ${uid}`, found: `uid ${STRANGER}` };
  expect((await network.verify()).differences).toEqual([{ subject: "vm-1", ...difference }]);
  const repaired = published("forknet:repaired");
  const { actions } = await network.reconcile();
  expect(actions).toMatchObject([{ action: "repair", subject: "vm-1", reason: /^owner is/ }]);
  expect(actions[0]?.error).toBeUndefined();
  expect(repaired).toEqual([{ bridge: BRIDGE, subject: "vm-1", ...difference }]);
  expect(await stranger.tries(tap)).toBe("EPERM");
  expect((await network.verify()).differences).toEqual([]);
});

it("waits for the process that has it open, says so, and repairs the rest meanwhile", async () => {
  const network = await openForTest();
  const { tap, ifindex } = await network.createAllocation({ ...REQUEST, owner: OWN });
  const close = open(tap, { owner: STRANGER });
  LeaseMap.in(SHAPER).delete(ifindex);
  const failed = published("forknet:repair-failed");
  const { actions } = await network.reconcile();
  const refusal = {
    code: "ERR_FORKNET_CONFLICT",
    message: expect.stringMatching(/open.*end that process and reconcile/) as string,
  };
  expect(actions.map(({ error }) => error)).toMatchObject([refusal, refusal]);
  expect(failed).toMatchObject([{ subject: "vm-1", error: refusal }]);
  expect(readLeases(SHAPER).get(ifindex)?.instanceId).toBe("vm-1");
  expect((await network.verify()).differences).toMatchObject([{ what: "owner" }]);
  close();
  expect((await network.reconcile()).actions[0]?.error).toBeUndefined();
  expect(linkNamed(tap)?.tun?.owner).toBe(OWN);
  expect((await network.verify()).differences).toEqual([]);
});

it("tells that an id which somebody has added cannot be taken away", async () => {
  const network = await openForTest();
  const { tap } = await network.createAllocation({ ...REQUEST, owner: OWN });
  open(tap, { group: GROUP })();
  const { actions } = await network.reconcile();
  expect(actions[0]?.error).toMatchObject({
    code: "ERR_FORKNET_CONFLICT",
    message: expect.stringContaining("put the guest to standby and recreate it") as string,
  });
  await network.standbyAllocation("vm-1");
  await network.recreateAllocation("vm-1");
  expect((await network.verify()).differences).toEqual([]);
});

it("deletes a warm slot that belongs to somebody else", async () => {
  const network = await openForTest(testOptions({ pool: { size: 1 } }));
  await poolFilled(network, 1);
  const told = published("forknet:slot-opened");
  const [slot] = warmSlots(BRIDGE) as [string];
  open(slot, { owner: STRANGER })();
  const ifindex = linkNamed(slot)?.ifindex;
  const { actions } = await network.reconcile();
  // Unless it was noticed before that somebody had it open.
  if (told.length === 0)
    expect(actions).toMatchObject([{ action: "delete_tap", reason: /owner is uid 70003/ }]);
  await expect
    .poll(() => warmSlots(BRIDGE).map((name) => linkNamed(name)?.ifindex))
    .not.toContain(ifindex);
});

it("is told by the command with no agent, too", async () => {
  const options = testOptions();
  const network = await openForTest(options);
  const { tap } = await network.createAllocation({ ...REQUEST, owner: { uid: OWN, gid: GROUP } });
  await network.close();
  open(tap, { owner: STRANGER })();
  const { code, value } = await forknetJson(["verify", "--bridge", BRIDGE]);
  expect(code).not.toBe(0);
  expect(value).toMatchObject({
    differences: [
      {
        subject: "vm-1",
        what: "owner",
        expected: `uid ${OWN} with gid ${GROUP}`,
        found: `uid ${STRANGER} with gid ${GROUP}`,
      },
    ],
  });
});
