// The addon's Monitor: what it hears, what it leaves out, and how it ends.

import { isDeepStrictEqual } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Change, unpack } from "../../src/kernel/changes.js";
import type { Monitor } from "../../src/kernel/listeners.js";
import { addon, must, thrown, useNetlink } from "./addon-fixture.js";

const netlink = useNetlink();
const ROOT = 0xffffffff;
const HANDLE = 0x10000;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;

function listen(ownPorts: readonly number[] = []): Monitor {
  const monitor = new addon.Monitor(ownPorts);
  onTestFinished(() => monitor.close());
  return monitor;
}

/** Everything that waits. */
function heard(monitor: Monitor): Change[] {
  const changes: Change[] = [];
  for (;;) {
    const part = monitor.read(64);
    changes.push(...unpack(part));
    if (!part.more) return changes;
  }
}

function makeLink(name: string): number {
  must(netlink(), { op: "link.create", name, kind: "ifb" });
  return netlink().link({ name })?.ifindex as number;
}

describe("a monitor", () => {
  it("hears links, queues and classes come, change and go, and of a link only the last", () => {
    const monitor = listen();
    const ifindex = makeLink("heard0");
    must(netlink(), { op: "link.set", ifindex, alias: "first", up: true });
    must(netlink(), { op: "link.set", ifindex, alias: "last" });
    const links = heard(monitor).filter((change) => change.object === "link");
    expect(links).toHaveLength(1);
    const link = { name: "heard0", alias: "last", up: true, master: 0 };
    expect(links[0]).toMatchObject({ ifindex, removed: false, link });
    must(
      netlink(),
      { op: "qdisc.htb", verb: "add", ifindex, handle: HANDLE, defaultMinor: 0 },
      { op: "qdisc.delete", ifindex, parent: ROOT },
    );
    const queue = { object: "qdisc", ifindex, handle: HANDLE, parent: ROOT };
    // The default queue, without a handle, goes when another comes.
    const named = heard(monitor).filter((change) => !("handle" in change && change.handle === 0));
    expect(named).toEqual([
      { ...queue, removed: false },
      { ...queue, removed: true },
    ]);
    must(netlink(), { op: "link.delete", ifindex });
    expect(heard(monitor)).toContainEqual({ object: "link", ifindex, removed: true });
    expect(monitor.read(1)).toMatchObject({ overrun: false, more: false, texts: [] });
  });

  it("leaves out what the sockets it was told of cause", () => {
    const other = new addon.Netlink();
    onTestFinished(() => other.close());
    const monitor = listen([netlink().port()]);
    const ifindex = makeLink("own0");
    heard(monitor);
    const make = {
      op: "qdisc.htb",
      verb: "add",
      ifindex,
      handle: HANDLE,
      defaultMinor: 0,
    } as const;
    const away = { op: "qdisc.delete", ifindex, parent: ROOT } as const;
    must(netlink(), make, away);
    expect(heard(monitor)).toEqual([]);
    must(other, make, away);
    expect(heard(monitor)).toHaveLength(2);
  });

  it("hears a link set down, and nothing of one that is down, not even that it comes", () => {
    const monitor = listen();
    const ifindex = makeLink("down0");
    must(netlink(), { op: "link.set", ifindex, alias: "down" });
    const links = () => heard(monitor).filter(({ object }) => object === "link");
    expect(links()).toEqual([]);
    must(netlink(), { op: "link.set", ifindex, up: true });
    expect(links()).toMatchObject([{ ifindex, link: { up: true, alias: "down" } }]);
    must(netlink(), { op: "link.set", ifindex, up: false });
    expect(links()).toMatchObject([{ ifindex, link: { up: false } }]);
    must(netlink(), { op: "link.set", ifindex, alias: "still down" });
    expect(links()).toEqual([]);
    must(netlink(), { op: "link.delete", ifindex });
    expect(links()).toEqual([{ object: "link", ifindex, removed: true }]);
  });

  it("hears that a TAP was open, also when it is closed by then", () => {
    const { fd, ifindex } = addon.openTap({ name: "tap0" });
    addon.setTapPersistent(fd, true);
    addon.closeFd(fd);
    must(netlink(), { op: "link.set", ifindex, up: true });
    const monitor = listen();
    const links = () => heard(monitor).filter((change) => change.object === "link");
    must(netlink(), { op: "link.set", ifindex, alias: "idle" });
    expect(links()).toMatchObject([{ ifindex, link: { opened: false } }]);
    addon.closeFd(addon.openTap({ name: "tap0" }).fd);
    must(netlink(), { op: "link.set", ifindex, alias: "idle again" });
    expect(links()).toMatchObject([{ ifindex, link: { opened: true, alias: "idle again" } }]);
    expect(links()).toEqual([]);
    must(netlink(), { op: "link.delete", ifindex });
  });

  it("hears neighbours whoever brings them: the kernel does not say who ends them", () => {
    const monitor = listen([netlink().port()]);
    must(netlink(), { op: "link.create", name: "bridge0", kind: "bridge" });
    const ifindex = netlink().link({ name: "bridge0" })?.ifindex as number;
    const [ip, mac] = [0x0a000007, 0x020000000007];
    const neighbors = () => heard(monitor).filter(({ object }) => object === "neighbor");
    must(netlink(), { op: "neighbor.set", ifindex, ip, mac });
    const told = { object: "neighbor", ifindex, ip };
    expect(neighbors()).toEqual([{ ...told, removed: false, mac, state: NUD_PERMANENT }]);
    must(netlink(), { op: "neighbor.delete", ifindex, ip });
    expect(neighbors().at(-1)).toMatchObject({ ...told, removed: true, mac: 0 });
  });

  it("hears neighbours and forwarding entries", () => {
    must(netlink(), { op: "link.create", name: "bridge0", kind: "bridge" });
    const bridge = netlink().link({ name: "bridge0" })?.ifindex as number;
    const ifindex = makeLink("port0");
    must(netlink(), { op: "link.set", ifindex, master: bridge });
    const monitor = listen();
    const [ip, mac] = [0x0a000007, 0x020000000007];
    must(
      netlink(),
      { op: "fdb.add", ifindex, mac },
      { op: "fdb.delete", ifindex, mac },
      { op: "neighbor.set", ifindex: bridge, ip, mac },
    );
    // A kernel that has VLANs in its bridges tells the entry once more, for VLAN 1.
    const told = heard(monitor).filter((change, i, all) => !isDeepStrictEqual(change, all[i - 1]));
    expect(told).toEqual([
      { object: "fdb", ifindex, removed: false, mac, state: NUD_NOARP },
      { object: "fdb", ifindex, removed: true, mac, state: NUD_NOARP },
      { object: "neighbor", ifindex: bridge, removed: false, ip, mac, state: NUD_PERMANENT },
    ]);
  });

  it("refuses what are no ports, and to be read after its end", () => {
    for (const ports of [undefined, "1", [0], [-1], [1.5], ["1"]] as never[])
      expect(() => new addon.Monitor(ports)).toThrow(TypeError);
    const monitor = listen();
    for (const count of [0, -1, 1.5, "1"] as never[])
      expect(() => monitor.read(count)).toThrow(TypeError);
    monitor.close();
    monitor.close();
    expect(thrown(() => monitor.read(1))).toMatchObject({ code: "EBADF" });
  });
});
