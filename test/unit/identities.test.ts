// Claims of addresses, MACs, TAP names and classes: all of it or nothing, and never the same to
// two.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { ForknetError } from "../../src/errors.js";
import { MOST_CLASSES } from "../../src/identity/class-pool.js";
import { Identities } from "../../src/identity/identities.js";
import { formatIpv4, macOf, parseMac, parseSubnet } from "../../src/identity/ipv4.js";

const SUBNET = parseSubnet("10.0.0.0/29", undefined);
const [FIRST, SECOND, THIRD] = [0x0a000002, 0x0a000003, 0x0a000004] as const;
const MAC = parseMac("02:ff:00:00:00:01", "mac");
const failure = (code: string, message: string | RegExp) =>
  expect.objectContaining({ code: `ERR_FORKNET_${code}`, message: expect.stringMatching(message) });

/** Connection tracking that has nothing to forget. */
const NO_FLOWS = async () => undefined;

describe("addresses", () => {
  test("come with the MAC that is derived from them, unless it is given", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    expect(identities.claimAddress({ ip: FIRST })).toEqual({ ip: FIRST, mac: macOf(FIRST) });
    expect(identities.claimAddress({ ip: SECOND, mac: MAC })).toEqual({ ip: SECOND, mac: MAC });
  });

  test("that are taken are refused, and nothing is claimed", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    identities.claimAddress({ ip: FIRST, mac: MAC });
    const { freeAddresses } = identities;
    expect(() => identities.claimAddress({ ip: FIRST })).toThrow(
      failure("ADDRESS_IN_USE", "ip 10.0.0.2 is in use"),
    );
    expect(() => identities.claimAddress({ ip: SECOND, mac: MAC })).toThrow(
      failure("ADDRESS_IN_USE", "mac 02:ff:00:00:00:01 is in use"),
    );
    expect(() => identities.claimAddress({ mac: macOf(SUBNET.gateway) })).toThrow(
      failure("ADDRESS_IN_USE", "mac 02:00:0a:00:00:01 is in use"),
    );
    expect(identities.freeAddresses).toBe(freeAddresses);
    // Neither the derived MAC of the first nor the address of the second was touched.
    expect(identities.claimAddress({ ip: SECOND, mac: macOf(FIRST) })).toEqual({
      ip: SECOND,
      mac: macOf(FIRST),
    });
  });

  test("whose derived MAC belongs to another guest are passed over, and stay free", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    identities.claimAddress({ ip: FIRST, mac: macOf(SECOND) });
    const rest = [1, 2, 3].map(() => identities.claimAddress({}).ip).sort((a, b) => a - b);
    expect(rest).toEqual([THIRD, THIRD + 1, THIRD + 2]);
    expect(() => identities.claimAddress({})).toThrow(
      failure("EXHAUSTED", "^no address is left in 10.0.0.0/29"),
    );
    expect(() => identities.claimAddress({ ip: SECOND })).toThrow(
      failure("ADDRESS_IN_USE", "mac 02:00:0a:00:00:03 is in use"),
    );
    expect(identities.claimAddress({ ip: SECOND, mac: MAC }).ip).toBe(SECOND);
  });

  test("run out with a message that says where and how many", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    for (let i = 0; i < 5; i++) identities.claimAddress({});
    expect(() => identities.claimAddress({})).toThrow(
      failure("EXHAUSTED", /^no address is left in 10\.0\.0\.0\/29 \(5 in use\)$/),
    );
    expect(() => identities.claimAddress({ mac: MAC })).toThrow(failure("EXHAUSTED", "no address"));
    identities.releaseUnused({ ip: THIRD, mac: macOf(THIRD) });
    // The refused wish did not keep its MAC.
    expect(identities.claimAddress({ mac: MAC })).toEqual({ ip: THIRD, mac: MAC });
  });
});

describe("an address becomes free", () => {
  /** Flows are forgotten when the test says so. */
  function withFlows() {
    const asked: number[] = [];
    const answers: ((error?: ForknetError) => void)[] = [];
    const identities = new Identities(SUBNET, (ip) => {
      asked.push(ip);
      return new Promise((resolve) => answers.push(resolve));
    });
    const isTaken = (ip: number) => identities.isTaken(ip);
    const forgotten = (error?: ForknetError) => answers.shift()?.(error);
    return { identities, asked, isTaken, forgotten };
  }

  test("when the flows of the guest that had it are forgotten, and not before", async () => {
    const { identities, asked, isTaken, forgotten } = withFlows();
    const guest = identities.claimAddress({ ip: FIRST });
    const release = identities.releaseAddress(guest);
    expect(asked).toEqual([FIRST]);
    expect(isTaken(FIRST)).toBe(true);
    expect(() => identities.claimAddress({ mac: guest.mac })).toThrow(
      failure("ADDRESS_IN_USE", ""),
    );
    forgotten();
    await release;
    expect(isTaken(FIRST)).toBe(false);
    expect(identities.claimAddress({ mac: guest.mac }).mac).toBe(guest.mac);
  });

  test("likewise when nobody knows who had it, and what a guest has is not asked about", async () => {
    const { identities, asked, isTaken, forgotten } = withFlows();
    identities.adoptGuest({ ip: FIRST, mac: MAC }, "tap0");
    const giveBack = [identities.hold(FIRST, "tap0"), identities.hold(SECOND, "left0", THIRD)];
    const given = Promise.all(giveBack.map((back) => back()));
    expect(asked).toEqual([SECOND]);
    expect(isTaken(SECOND)).toBe(true);
    expect(() => identities.claimAddress({ mac: THIRD })).toThrow(failure("ADDRESS_IN_USE", ""));
    forgotten();
    await given;
    expect([FIRST, SECOND].map(isTaken)).toEqual([true, false]);
    expect(identities.claimAddress({ mac: THIRD }).mac).toBe(THIRD);
  });

  test("never while the kernel does not forget, however often it is asked", async () => {
    const { identities, isTaken, forgotten } = withFlows();
    const { stranded } = identities;
    const refusal = new ForknetError("ERR_FORKNET_KERNEL", "refused");
    const releases = [
      identities.releaseAddress(identities.claimAddress({ ip: FIRST })),
      identities.hold(SECOND, "left0")(),
    ];
    forgotten(refusal);
    forgotten(refusal);
    await Promise.all(releases);
    expect(stranded.all().map(({ remains }) => remains.ip)).toEqual([FIRST, SECOND]);
    // The TAP is gone, whatever flows there are.
    expect(identities.claimPort(THIRD, "left0").tapName).toBe("left0");
    const [first, second] = stranded.all().map((one) => stranded.free(one));
    forgotten(refusal);
    forgotten();
    await expect(first).rejects.toBe(refusal);
    await second;
    expect([FIRST, SECOND].map(isTaken)).toEqual([true, false]);
    expect(stranded.all().map(({ remains }) => remains.ip)).toEqual([FIRST]);
  });

  test("at once where it was never armed", () => {
    const { identities, asked, isTaken } = withFlows();
    identities.releaseUnused(identities.claimAddress({ ip: FIRST }));
    expect([asked, isTaken(FIRST)]).toEqual([[], false]);
  });

  test("and the others are told, those that are nobody's to have included", () => {
    const { identities } = withFlows();
    identities.claimAddress({ ip: SECOND });
    const { network, gateway, broadcast } = SUBNET;
    expect(identities.takenAddresses).toEqual([network, gateway, SECOND, broadcast]);
  });
});

describe("ports", () => {
  test("are named after the address, and otherwise where that is taken", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    expect(identities.claimPort(FIRST, "fk0a000003").tapName).toBe("fk0a000003");
    expect(identities.claimPort(FIRST).tapName).toBe("fk0a000002");
    expect(identities.claimPort(SECOND).tapName).toBe("fk0a000003-1");
    expect(identities.claimPort(SECOND).tapName).toBe("fk0a000003-2");
  });

  test("with a name that is taken are refused, and no class is used up", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    identities.claimPort(FIRST, "tap0");
    expect(() => identities.claimPort(SECOND, "tap0")).toThrow(
      failure("ADDRESS_IN_USE", "tapName tap0 is in use"),
    );
    expect(identities.claimPort(SECOND, "tap1").class.minor).toBe(0x11);
  });

  test("run out of classes, and leave the name free then", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    const ports = Array.from({ length: MOST_CLASSES }, (_, i) =>
      identities.claimPort(FIRST, `tap${i}`),
    );
    expect(() => identities.claimPort(FIRST, "late")).toThrow(
      failure("EXHAUSTED", "no class is left on the shaper"),
    );
    identities.releasePort(ports[7] as (typeof ports)[number]);
    expect(identities.claimPort(FIRST, "late")).toMatchObject({
      tapName: "late",
      class: ports[7]?.class,
    });
  });
});

describe("adopted identities", () => {
  test("are taken; two that claim the same are a conflict", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    identities.adoptGuest({ ip: FIRST, mac: MAC }, "tap0");
    expect(() => identities.claimPort(SECOND, "tap0")).toThrow(failure("ADDRESS_IN_USE", "tap0"));
    expect(() => identities.adoptGuest({ ip: FIRST, mac: macOf(FIRST) }, "tap1")).toThrow(
      failure("CONFLICT", "two live TAPs claim 10.0.0.2"),
    );
    expect(() => identities.adoptGuest({ ip: SECOND, mac: MAC }, "tap1")).toThrow(
      failure("CONFLICT", "two live TAPs claim 02:ff:00:00:00:01"),
    );
  });

  test("of standby leases are taken as far as nobody has them, whole or not at all", () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    expect(identities.adoptAddress({ ip: FIRST, mac: MAC })).toBe(true);
    expect(identities.adoptAddress({ ip: FIRST, mac: macOf(FIRST) })).toBe(false);
    expect(identities.adoptAddress({ ip: SECOND, mac: MAC })).toBe(false);
    expect(identities.adoptAddress({ ip: SECOND, mac: macOf(SECOND) })).toBe(true);
  });

  test("of leftovers are held until they are given back, but not taken from a guest", async () => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    identities.adoptGuest({ ip: FIRST, mac: MAC }, "tap0");
    const giveBack = [
      identities.hold(FIRST, "tap0"),
      identities.hold(SECOND, "left0"),
      identities.hold(0, "left1"),
    ];
    expect(() => identities.claimAddress({ ip: SECOND })).toThrow(
      failure("ADDRESS_IN_USE", "10.0.0.3"),
    );
    for (const back of giveBack) await back();
    expect(() => identities.claimAddress({ ip: FIRST })).toThrow(
      failure("ADDRESS_IN_USE", "10.0.0.2"),
    );
    expect(() => identities.claimPort(FIRST, "tap0")).toThrow(failure("ADDRESS_IN_USE", "tap0"));
    expect(identities.claimAddress({ ip: SECOND }).ip).toBe(SECOND);
    expect(identities.claimPort(SECOND, "left0").tapName).toBe("left0");
  });
});

const wish = fc.record({
  ip: fc.option(fc.integer({ min: 2, max: 6 }), { nil: undefined }),
  mac: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  tapName: fc.option(fc.constantFrom("a", "fk0a000003", "fk0a000004"), { nil: undefined }),
  release: fc.boolean(),
});

test.prop([fc.array(wish, { maxLength: 60 })])(
  "no two guests share anything, and all is free again at the end",
  (wishes) => {
    const identities = new Identities(SUBNET, NO_FLOWS);
    const guests: {
      address: { ip: number; mac: number };
      port: ReturnType<Identities["claimPort"]>;
    }[] = [];
    const end = (guest: (typeof guests)[number]) => {
      identities.releasePort(guest.port);
      identities.releaseUnused(guest.address);
    };
    for (const { ip, mac, tapName, release } of wishes) {
      const first = release ? guests.shift() : undefined;
      if (first) end(first);
      const { freeAddresses } = identities;
      try {
        const address = identities.claimAddress({
          ...(ip === undefined ? {} : { ip: SUBNET.network + ip }),
          ...(mac === undefined ? {} : { mac: macOf(SUBNET.network + mac) }),
        });
        try {
          guests.push({ address, port: identities.claimPort(address.ip, tapName) });
        } catch (error) {
          identities.releaseUnused(address);
          throw error;
        }
      } catch {
        expect(identities.freeAddresses).toBe(freeAddresses);
      }
      for (const of of [
        guests.map(({ address }) => formatIpv4(address.ip)),
        guests.map(({ address }) => address.mac),
        guests.map(({ port }) => port.tapName),
        guests.map(({ port }) => port.class.minor),
      ]) {
        expect(new Set<unknown>(of).size).toBe(guests.length);
      }
    }
    for (const guest of guests) end(guest);
    expect(identities.freeAddresses).toBe(5);
    expect(Array.from({ length: 5 }, () => identities.claimAddress({}).mac)).toHaveLength(5);
  },
);
