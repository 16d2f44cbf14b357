// Traffic control through the addon: qdiscs, classes and filters written and read back, and their
// counters.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import type { TcVerb } from "../../src/kernel/messages.js";
import {
  EEXIST,
  ENOENT,
  makeLink,
  must,
  openTap,
  ROOT,
  refused,
  useNetlink,
} from "./addon-fixture.js";

const _CLSACT = 0xfffffff1;
const _INGRESS = 0xfffffff2;
const _EGRESS = 0xfffffff3;
const _ETH_P_ALL = 3;
const GBIT = 125_000_000;
/** What one tick of 64 ns passes, and one byte for rounding. */
const within = (rate: number) => rate / 15_625_000 + 1;

const netlink = useNetlink();

/** An ifb with an HTB root, a root class 1:1 and a class 1:a0. */
function shaper() {
  const ifindex = makeLink(netlink(), "ifb", "ifb0");
  const htb = { ifindex, burstBytes: 65_536, cburstBytes: 65_536, quantumBytes: 60_000 };
  must(
    netlink(),
    { op: "qdisc.htb", verb: "add", ifindex, handle: 0x10000, defaultMinor: 0xfff },
    {
      op: "class.htb",
      verb: "add",
      parent: 0x10000,
      handle: 0x10001,
      rate: 10 * GBIT,
      ceil: 10 * GBIT,
      ...htb,
    },
    {
      op: "class.htb",
      verb: "add",
      parent: 0x10001,
      handle: 0x100a0,
      rate: 1_250_000,
      ceil: 5_000_000,
      ...htb,
    },
  );
  return { ifindex, htb };
}

const qdisc = (ifindex: number, handle: number) =>
  netlink()
    .qdiscs(ifindex)
    .find((one) => one.handle === handle);
const htbClass = (ifindex: number, handle: number) =>
  netlink()
    .classes(ifindex)
    .find((one) => one.handle === handle);

describe("tbf", () => {
  const tbf = (verb: TcVerb, ifindex: number, rate: number, burstBytes: number) =>
    ({
      op: "qdisc.tbf",
      verb,
      ifindex,
      handle: 0x10000,
      rate,
      burstBytes,
      limitBytes: 1_000_000,
    }) as const;

  it("is added, changed, replaced, deleted, and read back", () => {
    const { ifindex } = openTap({ name: "tap0" });
    expect(refused(netlink(), tbf("change", ifindex, 12_500_000, 200_000)).errno).toBeGreaterThan(
      0,
    );
    must(netlink(), tbf("add", ifindex, 12_500_000, 200_000));
    expect(refused(netlink(), tbf("add", ifindex, 12_500_000, 200_000)).errno).toBe(EEXIST);
    expect(netlink().qdiscs(ifindex)).toEqual([
      {
        ifindex,
        kind: "tbf",
        handle: 0x10000,
        parent: ROOT,
        stats: { bytes: 0, packets: 0, drops: 0, overlimits: 0, backlogBytes: 0, queueLength: 0 },
        tbf: { rate: 12_500_000, burstBytes: 200_000, limitBytes: 1_000_000 },
      },
    ]);
    must(netlink(), tbf("change", ifindex, 375_000, 1540));
    expect(qdisc(ifindex, 0x10000)?.tbf?.rate).toBe(375_000);
    must(netlink(), tbf("replace", ifindex, 1_250_000, 5000));
    expect(qdisc(ifindex, 0x10000)?.tbf?.rate).toBe(1_250_000);
    must(netlink(), { op: "qdisc.delete", ifindex, parent: ROOT, handle: 0x10000 });
    expect(qdisc(ifindex, 0x10000)).toBeUndefined();
  });

  it.each([1, 125_000, 2 ** 32 - 1, 2 ** 32, 100 * GBIT])(
    "keeps a rate of %d bytes per second",
    (rate) => {
      const { ifindex } = openTap({ name: "tap0" });
      const burstBytes = rate < 1000 ? 200 : 1_000_000;
      must(netlink(), tbf("add", ifindex, rate, burstBytes));
      const read = qdisc(ifindex, 0x10000)?.tbf;
      expect(read?.rate).toBe(rate);
      expect(Math.abs((read?.burstBytes ?? 0) - burstBytes)).toBeLessThanOrEqual(within(rate));
    },
  );

  it("counts what passes", async () => {
    const bridge = makeLink(netlink(), "bridge", "br0");
    const { ifindex } = openTap({ name: "tap0", nonBlocking: true });
    must(
      netlink(),
      tbf("add", ifindex, 12_500_000, 200_000),
      { op: "link.set", ifindex, master: bridge },
      { op: "address.add", ifindex: bridge, ip: 0x0a000001, prefixLength: 24 },
      { op: "link.set", ifindex, up: true },
      { op: "link.set", ifindex: bridge, up: true },
      { op: "fdb.add", ifindex, mac: 0x020000000007 },
      { op: "neighbor.set", ifindex: bridge, ip: 0x0a000007, mac: 0x020000000007 },
    );
    const socket = createSocket("udp4");
    for (let i = 0; i < 10; i++) {
      await new Promise<void>((resolve, reject) => {
        socket.send(Buffer.alloc(1000), 9, "10.0.0.7", (error) =>
          error ? reject(error) : resolve(),
        );
      });
    }
    socket.close();
    await once(socket, "close");
    await expect.poll(() => qdisc(ifindex, 0x10000)?.stats.packets).toBeGreaterThanOrEqual(10);
    expect(qdisc(ifindex, 0x10000)?.stats.bytes).toBeGreaterThanOrEqual(10 * 1042);
  });
});

describe("htb", () => {
  it("is read back with its classes", () => {
    const { ifindex } = shaper();
    expect(qdisc(ifindex, 0x10000)).toMatchObject({
      kind: "htb",
      htb: { defaultMinor: 0xfff, directPackets: 0 },
    });
    expect(htbClass(ifindex, 0x10001)).toMatchObject({ parent: ROOT, leaf: 0, rate: 10 * GBIT });
    expect(htbClass(ifindex, 0x100a0)).toEqual({
      ifindex,
      kind: "htb",
      handle: 0x100a0,
      parent: 0x10001,
      leaf: 0,
      rate: 1_250_000,
      ceil: 5_000_000,
      burstBytes: 65_536,
      cburstBytes: 65_536,
      quantumBytes: 60_000,
      stats: { bytes: 0, packets: 0, drops: 0, overlimits: 0, backlogBytes: 0, queueLength: 0 },
    });
    expect(netlink().classes(0x7fffffff)).toEqual([]);
  });

  it.each([2 ** 32 - 1, 2 ** 32, 100 * GBIT])(
    "keeps a class's rate of %d bytes per second",
    (rate) => {
      const { ifindex, htb } = shaper();
      must(netlink(), {
        op: "class.htb",
        verb: "add",
        parent: 0x10001,
        handle: 0x100a1,
        ...htb,
        rate,
        ceil: rate,
      });
      const read = htbClass(ifindex, 0x100a1);
      expect(read).toMatchObject({ rate, ceil: rate });
      expect((read?.burstBytes ?? 0) - 65_536).toBeGreaterThanOrEqual(0);
      expect((read?.burstBytes ?? 0) - 65_536).toBeLessThanOrEqual(within(rate));
    },
  );

  it("changes, replaces and deletes a class", () => {
    const { ifindex, htb } = shaper();
    const limits = { op: "class.htb", parent: 0x10001, ...htb, ceil: 9_000_000 } as const;
    must(netlink(), { ...limits, verb: "change", handle: 0x100a0, rate: 2_500_000 });
    expect(htbClass(ifindex, 0x100a0)).toMatchObject({ rate: 2_500_000, ceil: 9_000_000 });
    expect(refused(netlink(), { ...limits, verb: "change", handle: 0x100b0, rate: 1 }).errno).toBe(
      ENOENT,
    );
    expect(refused(netlink(), { ...limits, verb: "add", handle: 0x100a0, rate: 1000 }).errno).toBe(
      EEXIST,
    );
    must(netlink(), { ...limits, verb: "replace", handle: 0x100a0, rate: 375_000 });
    must(netlink(), { ...limits, verb: "replace", handle: 0x100b0, rate: 375_000 });
    must(netlink(), { op: "class.delete", ifindex, handle: 0x100b0 });
    expect(htbClass(ifindex, 0x100b0)).toBeUndefined();
    expect(refused(netlink(), { op: "class.delete", ifindex, handle: 0x100b0 }).errno).toBe(ENOENT);
  });
});

describe("leaves", () => {
  it("bfifo is added, changed, and replaced under a new handle", () => {
    const { ifindex } = shaper();
    const leaf = { op: "qdisc.bfifo", ifindex, parent: 0x100a0 } as const;
    must(netlink(), { ...leaf, verb: "add", handle: 0xa00000, limitBytes: 300_000 });
    expect(htbClass(ifindex, 0x100a0)?.leaf).toBe(0xa00000);
    must(netlink(), { ...leaf, verb: "change", handle: 0xa00000, limitBytes: 400_000 });
    expect(qdisc(ifindex, 0xa00000)).toMatchObject({
      kind: "bfifo",
      parent: 0x100a0,
      bfifo: { limitBytes: 400_000 },
    });
    must(netlink(), { ...leaf, verb: "replace", handle: 0xa10000, limitBytes: 131_072 });
    expect(htbClass(ifindex, 0x100a0)?.leaf).toBe(0xa10000);
    expect(qdisc(ifindex, 0xa00000)).toBeUndefined();
    must(netlink(), { op: "qdisc.delete", ifindex, parent: 0x100a0, handle: 0xa10000 });
    expect(qdisc(ifindex, 0xa10000)).toBeUndefined();
  });

  it("blackhole is one too", () => {
    const { ifindex } = shaper();
    must(netlink(), {
      op: "qdisc.blackhole",
      verb: "add",
      ifindex,
      parent: 0x100a0,
      handle: 0xa00000,
    });
    expect(qdisc(ifindex, 0xa00000)).toMatchObject({ kind: "blackhole", parent: 0x100a0 });
  });

  it("fq_codel works or is refused by name, and leaves no trace then", () => {
    const { ifindex } = shaper();
    const leaf = {
      ifindex,
      parent: 0x100a0,
      handle: 0xa00000,
      memoryLimitBytes: 1_000_000,
    } as const;
    const [answer] = netlink().talk([{ op: "qdisc.fq_codel", verb: "add", ...leaf }]);
    if (answer) expect(answer).toEqual({ errno: ENOENT, text: expect.stringMatching(/qdisc/i) });
    expect(qdisc(ifindex, 0xa00000)?.kind).toBe(answer ? undefined : "fq_codel");
  });

  it("need a parent, and the kernel says so", () => {
    const { ifindex } = shaper();
    const orphan = { ifindex, parent: 0x1abcd, handle: 0xa00000, limitBytes: 1 } as const;
    const refusal = refused(netlink(), { op: "qdisc.bfifo", verb: "add", ...orphan });
    expect(refusal.errno).toBe(ENOENT);
    expect(refusal.text).not.toBe("");
  });
});
