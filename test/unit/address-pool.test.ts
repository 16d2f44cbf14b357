// Which addresses the pool hands out, in which order, and how much it looks at to find them.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fc, test } from "@fast-check/vitest";
import { afterEach, describe, expect, vi } from "vitest";
import { AddressPool } from "../../src/identity/address-pool.js";
import { parseSubnet } from "../../src/identity/ipv4.js";

const SMALL = parseSubnet("10.0.0.0/29", "10.0.0.3");
const USABLE = [1, 2, 4, 5, 6].map((host) => 0x0a000000 + host);
const WIDE = parseSubnet("10.0.0.0/8", undefined);

function takeAll(pool: AddressPool): number[] {
  const taken: number[] = [];
  for (let ip = pool.take(); ip !== undefined; ip = pool.take()) taken.push(ip);
  return taken;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("an address pool", () => {
  test.prop([fc.nat(7)])("gives every usable address once, from any start", (start) => {
    const pool = new AddressPool(SMALL, start);
    expect(pool.free).toBe(USABLE.length);
    expect(takeAll(pool).sort((a, b) => a - b)).toEqual(USABLE);
    expect(pool.free).toBe(0);
  });

  test.prop([fc.uniqueArray(fc.nat(253), { maxLength: 80 })])("tells who is taken", (hosts) => {
    const subnet = parseSubnet("10.0.0.0/24", "10.0.0.254");
    const pool = new AddressPool(subnet);
    const ips = hosts.map((host) => subnet.network + host).filter((ip) => pool.claim(ip));
    const nobodys = [subnet.network, subnet.gateway, subnet.broadcast];
    expect(pool.taken()).toEqual([...ips, ...nobodys].sort((a, b) => a - b));
    for (const ip of ips) pool.release(ip);
    expect(pool.taken()).toEqual(nobodys);
  });

  test.each([8, 12, 16, 24, 28])(
    "never gives network, gateway or broadcast of a /%d",
    (prefixLength) => {
      const subnet = parseSubnet(`10.0.0.0/${prefixLength}`, undefined);
      const size = 2 ** (32 - prefixLength);
      // The walk passes the end of the subnet, and so all three.
      const pool = new AddressPool(subnet, size - 3);
      const taken = Array.from({ length: Math.min(size - 3, 5) }, () => pool.take());
      expect(taken.slice(0, 4)).toEqual(
        [size - 3, size - 2, 2, 3].map((offset) => subnet.network + offset),
      );
      expect(pool.free).toBe(size - 3 - taken.length);
      for (const ip of [subnet.network, subnet.gateway, subnet.broadcast]) {
        expect(pool.isTaken(ip)).toBe(true);
        expect(pool.claim(ip)).toBe(false);
      }
    },
  );

  test("starts somewhere else each time", () => {
    const firsts = new Set(Array.from({ length: 8 }, () => new AddressPool(WIDE).take()));
    expect(firsts.size).toBeGreaterThan(1);
  });

  test("prefers addresses that were never used, then those that were free the longest", () => {
    const pool = new AddressPool(SMALL, 1);
    const [first, second] = [pool.take(), pool.take()] as [number, number];
    pool.release(second);
    pool.release(first);
    expect(takeAll(pool)).toEqual([...USABLE.slice(2), second, first]);
  });

  test("forgets the queue's older entry of an address that was claimed and released meanwhile", () => {
    const pool = new AddressPool(SMALL, 1);
    takeAll(pool);
    for (const ip of USABLE) pool.release(ip);
    const [first] = USABLE as [number];
    expect(pool.claim(first)).toBe(true);
    pool.release(first);
    expect(takeAll(pool)).toEqual([...USABLE.slice(1), first]);
  });

  test("takes a release of what is free as nothing", () => {
    const pool = new AddressPool(SMALL, 1);
    pool.release(USABLE[0] as number);
    expect(pool.free).toBe(USABLE.length);
    expect(takeAll(pool).sort((a, b) => a - b)).toEqual(USABLE);
  });
});

const step = fc.oneof(
  fc.record({ call: fc.constant("take" as const) }),
  fc.record({ call: fc.constant("claim" as const), host: fc.nat(15) }),
  fc.record({ call: fc.constant("release" as const), host: fc.nat(15) }),
);

test.prop([fc.array(step, { maxLength: 200 }), fc.nat(15)])(
  "agrees with a list in order of release",
  (steps, start) => {
    const subnet = parseSubnet("10.0.0.0/28", undefined);
    const pool = new AddressPool(subnet, start);
    const isUsable = (offset: number) => ![0, 1, 15].includes(offset);
    const offsets = Array.from({ length: 16 }, (_, i) => (start + i) % 16).filter(isUsable);
    // Never used, in the walk's order, and then the released ones.
    let unseen = offsets;
    let freed: number[] = [];
    const remove = (offset: number) => {
      unseen = unseen.filter((one) => one !== offset);
      freed = freed.filter((one) => one !== offset);
    };
    for (const one of steps) {
      const free = [...unseen, ...freed];
      if (one.call === "take") {
        const expected = free[0];
        expect(pool.take()).toBe(expected === undefined ? undefined : subnet.network + expected);
        if (expected !== undefined) remove(expected);
      } else if (one.call === "claim") {
        expect(pool.claim(subnet.network + one.host)).toBe(free.includes(one.host));
        remove(one.host);
      } else if (isUsable(one.host)) {
        pool.release(subnet.network + one.host);
        if (!free.includes(one.host)) freed.push(one.host);
      }
      expect(pool.free).toBe(unseen.length + freed.length);
    }
  },
);

describe("the cost", () => {
  /** Counts reads of the bitmap of pools made from here on. */
  function countReads(): { reads: number } {
    const counter = { reads: 0 };
    const Real = Uint32Array;
    vi.stubGlobal(
      "Uint32Array",
      class {
        constructor(length: number) {
          // biome-ignore lint/correctness/noConstructorReturn: the pool must hold the proxy.
          return new Proxy(new Real(length), {
            get(target, key) {
              counter.reads++;
              return target[key as unknown as number];
            },
          });
        }
      },
    );
    return counter;
  }

  test("of a take or a release does not depend on how many are taken", () => {
    const counter = countReads();
    const pool = new AddressPool(parseSubnet("10.0.0.0/16", undefined), 0);
    const taken: number[] = [];
    const most = { take: 0, release: 0 };
    for (let i = 0; i < 60_000; i++) {
      const before = counter.reads;
      taken.push(pool.take() as number);
      // The first two offsets are the network and the gateway.
      if (i > 0) most.take = Math.max(most.take, counter.reads - before);
    }
    for (const ip of taken.slice(0, 1000)) {
      const before = counter.reads;
      pool.release(ip);
      most.release = Math.max(most.release, counter.reads - before);
    }
    expect(counter.reads).toBeGreaterThan(0);
    expect(most.take).toBeLessThanOrEqual(2);
    expect(most.release).toBeLessThanOrEqual(2);
  });

  test("of a subnet that was walked through once is paid once", () => {
    const pool = new AddressPool(parseSubnet("10.0.0.0/20", undefined), 0);
    takeAll(pool);
    pool.release(0x0a000005);
    const counter = countReads();
    const again = new AddressPool(parseSubnet("10.0.0.0/20", undefined), 0);
    takeAll(again);
    const walked = counter.reads;
    for (let i = 0; i < 100; i++) {
      again.release(0x0a000005);
      expect(again.take()).toBe(0x0a000005);
    }
    expect(counter.reads - walked).toBeLessThanOrEqual(100 * 4);
  });

  test("of exact claims and releases without end is no memory", () => {
    const pool = new AddressPool(SMALL, 1);
    const [ip] = USABLE as [number];
    const before = heapBytes();
    for (let i = 0; i < 500_000; i++) {
      pool.claim(ip);
      pool.release(ip);
    }
    // An entry that stayed would take 24 bytes at the very least.
    expect(heapBytes() - before).toBeLessThan(500_000 * 8);
    expect(pool.free).toBe(USABLE.length);
  });
});

/** What is in use, garbage apart. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}
