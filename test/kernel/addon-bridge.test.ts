// What stands on a bridge: port settings, forwarding entries, neighbours, addresses and routes.
import { execFileSync } from "node:child_process";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  EEXIST,
  ENODEV,
  ENOENT,
  linkNamed,
  makeLink,
  must,
  openTap,
  refused,
  useNetlink,
} from "./addon-fixture.js";

const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const MAC = 0x02000a000007;
const IP = 0x0a000007;
const GATEWAY = 0x0a000001;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;

const netlink = useNetlink();

/** A bridge with 10.0.0.1/24 that is up, and a TAP on it. */
function network() {
  const bridge = makeLink(netlink(), "bridge", "br0");
  const tap = openTap({ name: "tap0" }).ifindex;
  must(
    netlink(),
    { op: "link.set", ifindex: tap, master: bridge },
    { op: "address.add", ifindex: bridge, ip: GATEWAY, prefixLength: 24 },
    { op: "link.set", ifindex: bridge, up: true },
  );
  return { bridge, tap };
}

describe("a port", () => {
  it("takes five settings in one message, each way", () => {
    const { tap } = network();
    const hardened = {
      isolated: true,
      learning: false,
      unicastFlood: false,
      multicastFlood: false,
      broadcastFlood: false,
    };
    must(netlink(), { op: "port.set", ifindex: tap, ...hardened });
    // Nobody's link below: the port has no carrier and is disabled.
    expect(linkNamed(netlink(), "tap0").port).toEqual({ ...hardened, state: 0 });
    must(netlink(), { op: "port.set", ifindex: tap, isolated: false, broadcastFlood: true });
    expect(linkNamed(netlink(), "tap0").port).toEqual({
      ...hardened,
      isolated: false,
      broadcastFlood: true,
      state: 0,
    });
  });

  it("must be one", () => {
    const ifindex = makeLink(netlink(), "ifb", "ifb0");
    expect(refused(netlink(), { op: "port.set", ifindex, isolated: true }).errno).toBeGreaterThan(
      0,
    );
  });
});

describe("forwarding entries", () => {
  it("are static, exclusive, and listed with their port", () => {
    const { bridge, tap } = network();
    must(netlink(), { op: "fdb.add", ifindex: tap, mac: MAC });
    expect(netlink().fdb(bridge)).toContainEqual({ ifindex: tap, mac: MAC, state: NUD_NOARP });
    const second = openTap({ name: "tap1" }).ifindex;
    must(netlink(), { op: "link.set", ifindex: second, master: bridge });
    expect(refused(netlink(), { op: "fdb.add", ifindex: second, mac: MAC }).errno).toBe(EEXIST);
    expect(netlink().fdb(bridge)).toContainEqual({ ifindex: tap, mac: MAC, state: NUD_NOARP });
    must(netlink(), { op: "fdb.delete", ifindex: tap, mac: MAC });
    expect(
      netlink()
        .fdb(bridge)
        .map(({ mac }) => mac),
    ).not.toContain(MAC);
    expect(refused(netlink(), { op: "fdb.delete", ifindex: tap, mac: MAC }).errno).toBe(ENOENT);
  });

  it("of one bridge do not show another's", () => {
    const { bridge } = network();
    const other = makeLink(netlink(), "bridge", "br1");
    const port = makeLink(netlink(), "ifb", "ifb0");
    must(
      netlink(),
      { op: "link.set", ifindex: port, master: other },
      { op: "fdb.add", ifindex: port, mac: MAC },
    );
    expect(
      netlink()
        .fdb(bridge)
        .map(({ mac }) => mac),
    ).not.toContain(MAC);
    expect(netlink().fdb(other)).toContainEqual({ ifindex: port, mac: MAC, state: NUD_NOARP });
  });
});

/** A link joins multicast groups when it likes: those entries are the kernel's own. */
const permanentOf = (ifindex: number) =>
  netlink()
    .neighbors(ifindex)
    .filter(({ state }) => state === NUD_PERMANENT);

describe("neighbours", () => {
  it("are permanent, replaced and deleted", () => {
    const { bridge } = network();
    must(netlink(), { op: "neighbor.set", ifindex: bridge, ip: IP, mac: MAC });
    expect(permanentOf(bridge)).toEqual([
      { ifindex: bridge, ip: IP, mac: MAC, state: NUD_PERMANENT },
    ]);
    must(netlink(), { op: "neighbor.set", ifindex: bridge, ip: IP, mac: MAC + 1 });
    expect(permanentOf(bridge)).toEqual([
      { ifindex: bridge, ip: IP, mac: MAC + 1, state: NUD_PERMANENT },
    ]);
    expect(netlink().neighbors()).toContainEqual({
      ifindex: bridge,
      ip: IP,
      mac: MAC + 1,
      state: NUD_PERMANENT,
    });
    must(netlink(), { op: "neighbor.delete", ifindex: bridge, ip: IP });
    expect(permanentOf(bridge)).toEqual([]);
    expect(refused(netlink(), { op: "neighbor.delete", ifindex: bridge, ip: IP }).errno).toBe(
      ENOENT,
    );
  });

  it("of one link do not show another's", () => {
    const { bridge } = network();
    const other = makeLink(netlink(), "bridge", "br1");
    must(
      netlink(),
      { op: "link.set", ifindex: other, up: true },
      { op: "neighbor.set", ifindex: other, ip: IP, mac: MAC },
    );
    expect(permanentOf(bridge)).toEqual([]);
  });
});

describe("addresses and routes", () => {
  it("come and go", () => {
    const { bridge } = network();
    expect(netlink().addresses(bridge)).toEqual([
      { ifindex: bridge, ip: GATEWAY, prefixLength: 24 },
    ]);
    expect(netlink().addresses()).toContainEqual({
      ifindex: bridge,
      ip: GATEWAY,
      prefixLength: 24,
    });
    const again = { op: "address.add", ifindex: bridge, ip: GATEWAY, prefixLength: 24 } as const;
    expect(refused(netlink(), again).errno).toBe(EEXIST);

    must(netlink(), {
      op: "route.add",
      destination: 0x0a080000,
      prefixLength: 13,
      gateway: 0x0a000002,
      ifindex: bridge,
    });
    must(netlink(), {
      op: "route.add",
      destination: 0x0a090000,
      prefixLength: 16,
      ifindex: bridge,
    });
    const main = { ifindex: bridge, metric: 0, table: RT_TABLE_MAIN, type: RTN_UNICAST };
    expect(netlink().routes()).toEqual(
      expect.arrayContaining([
        { ...main, destination: 0x0a000000, prefixLength: 24, gateway: 0 },
        { ...main, destination: 0x0a080000, prefixLength: 13, gateway: 0x0a000002 },
        { ...main, destination: 0x0a090000, prefixLength: 16, gateway: 0 },
      ]),
    );

    must(netlink(), { ...again, op: "address.delete" });
    expect(netlink().addresses(bridge)).toEqual([]);
  });

  it("are listed with metric, table and type; rules with the table they ask", () => {
    execFileSync("ip", "route add unreachable 10.11.0.0/16 metric 30 table 51820".split(" "));
    execFileSync("ip", "rule add to 10.0.0.0/8 lookup 51820".split(" "));
    onTestFinished(() => {
      execFileSync("ip", "rule del lookup 51820".split(" "));
      execFileSync("ip", "route flush table 51820".split(" "));
    });
    const at = { destination: 0x0a0b0000, prefixLength: 16, ifindex: 0, gateway: 0 };
    expect(netlink().routes()).toContainEqual({ ...at, metric: 30, table: 51820, type: 7 });
    const tables = netlink().rules();
    expect(tables.map(({ table }) => table).sort((a, b) => a - b)).toEqual([253, 254, 255, 51820]);
    expect(tables.every(({ action }) => action === 1)).toBe(true);
  });

  it("say what is wrong in the kernel's words", () => {
    const { bridge } = network();
    const unreachable = {
      op: "route.add",
      destination: 0x0b000000,
      prefixLength: 8,
      ifindex: bridge,
    } as const;
    expect(refused(netlink(), { ...unreachable, gateway: 0x0c000001 }).text).toBe(
      "Nexthop has invalid gateway",
    );
  });

  it("a list for a link that is gone throws the kernel's refusal", () => {
    expect(() => netlink().addresses(0x7fffffff)).toThrow(
      expect.objectContaining({ code: "ENODEV", errno: -ENODEV }),
    );
  });
});
