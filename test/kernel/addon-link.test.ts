// Links through the addon: made, changed, listed, renamed and deleted.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Message } from "../../src/kernel/messages.js";
import {
  EEXIST,
  ENODEV,
  ENOENT,
  LOOPBACK,
  linkNamed,
  makeLink,
  must,
  openTap,
  refused,
  useNetlink,
} from "./addon-fixture.js";

const GROUP = 4242;
const netlink = useNetlink();

describe("making a link", () => {
  it("gives a bridge what was asked for", () => {
    must(netlink(), {
      op: "link.create",
      name: "br0",
      kind: "bridge",
      mac: 0x02000a000001,
      mtu: 1400,
      txQueueLength: 77,
      alias: "forknet test",
      multicastSnooping: false,
      addressGeneration: "none",
    });
    expect(linkNamed(netlink(), "br0")).toEqual({
      ifindex: expect.any(Number),
      name: "br0",
      kind: "bridge",
      master: 0,
      up: false,
      lowerUp: false,
      running: false,
      carrierUps: 0,
      mac: 0x02000a000001,
      mtu: 1400,
      group: 0,
      alias: "forknet test",
      txQueueLength: 77,
      forwarding: false,
      sendRedirects: true,
      // defaultVlan is there where the kernel filters VLANs.
      bridge: expect.objectContaining({
        multicastSnooping: false,
        vlanFiltering: false,
        stpState: 0,
        forwardDelayMs: 15_000,
      }) as unknown,
    });
  });

  it("makes an ifb", () => {
    makeLink(netlink(), "ifb", "ifb0");
    expect(linkNamed(netlink(), "ifb0")).toMatchObject({ kind: "ifb", mtu: 1500 });
    expect(linkNamed(netlink(), "ifb0")).not.toHaveProperty("bridge");
  });

  it("keeps its hands off the link that has the name", () => {
    makeLink(netlink(), "ifb", "taken");
    const refusal = refused(netlink(), {
      op: "link.create",
      name: "taken",
      kind: "bridge",
      alias: "mine",
    });
    expect(refusal.errno).toBe(EEXIST);
    expect(linkNamed(netlink(), "taken")).toMatchObject({ kind: "ifb", alias: "" });
  });

  it("takes a name of 15 bytes", () => {
    const name = "fifteen-bytes-x";
    expect(name).toHaveLength(15);
    makeLink(netlink(), "ifb", name);
  });
});

describe("settings of IPv4", () => {
  const setting = (path: string) => readFileSync(`/proc/sys/net/ipv4/${path}`, "utf8").trim();

  it("are set one by one, and listed as sysctl(8) has them", () => {
    const ifindex = makeLink(netlink(), "bridge", "br0");
    const now = () => {
      const { forwarding, sendRedirects } = linkNamed(netlink(), "br0") ?? {};
      expect(setting("conf/br0/forwarding")).toBe(forwarding ? "1" : "0");
      expect(setting("conf/br0/send_redirects")).toBe(sendRedirects ? "1" : "0");
      return [forwarding, sendRedirects];
    };
    expect(now()).toEqual([false, true]);
    must(netlink(), { op: "link.set", ifindex, forwarding: true });
    expect(now()).toEqual([true, true]);
    must(netlink(), { op: "link.set", ifindex, sendRedirects: false, alias: "and more" });
    expect(now()).toEqual([true, false]);
    must(netlink(), { op: "link.set", ifindex, forwarding: false, sendRedirects: true });
    expect(now()).toEqual([false, true]);
  });

  it("say how often a link asks for a neighbour", () => {
    const ifindex = makeLink(netlink(), "bridge", "br0");
    makeLink(netlink(), "bridge", "br1");
    must(netlink(), { op: "neighbor.table", ifindex, multicastProbes: 0 });
    const probes = ["br0", "br1"].map((name) => setting(`neigh/${name}/mcast_solicit`));
    expect(probes).toEqual(["0", "3"]);
    expect(
      refused(netlink(), { op: "neighbor.table", ifindex: 9999, multicastProbes: 0 }).errno,
    ).toBe(ENOENT);
  });
});

describe("changing a link", () => {
  it("sets every field, and only those that are given", () => {
    const ifindex = makeLink(netlink(), "bridge", "br0");
    const before = linkNamed(netlink(), "br0");
    must(netlink(), { op: "link.set", ifindex });
    expect(linkNamed(netlink(), "br0")).toEqual(before);
    const wanted = {
      group: GROUP,
      alias: "a".repeat(255),
      txQueueLength: 5,
      mtu: 1280,
      mac: 0x020000000007,
    };
    must(netlink(), { op: "link.set", ifindex, up: true, addressGeneration: "none", ...wanted });
    expect(linkNamed(netlink(), "br0")).toMatchObject({ ...wanted, up: true });
    must(netlink(), { op: "link.set", ifindex, up: false, alias: "" });
    expect(linkNamed(netlink(), "br0")).toEqual({ ...before, ...wanted, up: false, alias: "" });
  });

  it("renames, and the old name is free at once", () => {
    const ifindex = makeLink(netlink(), "ifb", "old");
    must(
      netlink(),
      { op: "link.set", ifindex, name: "new" },
      { op: "link.create", name: "old", kind: "ifb" },
    );
    expect(netlink().link({ ifindex })?.name).toBe("new");
    expect(refused(netlink(), { op: "link.set", ifindex, name: "old" }).errno).toBe(EEXIST);
  });

  it("puts a link on a bridge and takes it off", () => {
    const bridge = makeLink(netlink(), "bridge", "br0");
    const ifindex = makeLink(netlink(), "ifb", "ifb0");
    must(netlink(), { op: "link.set", ifindex, master: bridge });
    expect(linkNamed(netlink(), "ifb0")).toMatchObject({
      master: bridge,
      port: { isolated: false, learning: true },
    });
    must(netlink(), { op: "link.set", ifindex, master: 0 });
    expect(linkNamed(netlink(), "ifb0").master).toBe(0);
    expect(linkNamed(netlink(), "ifb0")).not.toHaveProperty("port");
  });
});

describe("listing links", () => {
  it("filters by master and kind", () => {
    const bridge = makeLink(netlink(), "bridge", "br0");
    makeLink(netlink(), "bridge", "br1");
    const port = makeLink(netlink(), "ifb", "ifb0");
    makeLink(netlink(), "ifb", "ifb1");
    const tap = openTap({ name: "tap0" });
    must(
      netlink(),
      { op: "link.set", ifindex: port, master: bridge },
      { op: "link.set", ifindex: tap.ifindex, master: bridge },
    );
    const names = (filter?: { master?: number; kind?: string }) =>
      netlink()
        .links(filter)
        .map(({ name }) => name)
        .sort();
    expect(names()).toEqual(["br0", "br1", "ifb0", "ifb1", "lo", "tap0"]);
    expect(names({})).toEqual(names());
    expect(names({ master: bridge })).toEqual(["ifb0", "tap0"]);
    expect(names({ master: bridge, kind: "tun" })).toEqual(["tap0"]);
    expect(names({ kind: "ifb" })).toEqual(["ifb0", "ifb1"]);
    expect(names({ master: 0 })).toEqual(["br0", "br1", "ifb1", "lo"]);
    expect(names({ kind: "" })).toEqual(["lo"]);
    expect(names({ kind: "no-such-kind" })).toEqual([]);
  });

  it("finds one by name or index, and undefined for none", () => {
    expect(netlink().link({ name: "lo" })).toMatchObject({ ifindex: LOOPBACK, kind: "", up: true });
    expect(netlink().link({ ifindex: LOOPBACK })?.name).toBe("lo");
    expect(netlink().link({ name: "nowhere" })).toBeUndefined();
    expect(netlink().link({ ifindex: 0x7fffffff })).toBeUndefined();
  });
});

describe("deleting links", () => {
  it("deletes one, once", () => {
    const ifindex = makeLink(netlink(), "ifb", "ifb0");
    must(netlink(), { op: "link.delete", ifindex });
    expect(refused(netlink(), { op: "link.delete", ifindex }).errno).toBe(ENODEV);
  });

  it("deletes a group and nothing else", () => {
    const indexes = ["a", "b", "c"].map((name) => makeLink(netlink(), "ifb", name));
    makeLink(netlink(), "ifb", "other");
    must(
      netlink(),
      ...indexes.map((ifindex): Message => ({ op: "link.set", ifindex, group: GROUP })),
    );
    must(netlink(), { op: "link.deleteGroup", group: GROUP });
    expect(
      netlink()
        .links({ kind: "ifb" })
        .map(({ name }) => name),
    ).toEqual(["other"]);
    expect(refused(netlink(), { op: "link.deleteGroup", group: GROUP }).errno).toBe(ENODEV);
  });
});

describe("many messages in one talk", () => {
  it("answers each in its place, across several sends", () => {
    const messages = Array.from({ length: 300 }, (_, i): Message => {
      // Every third one asks for a name that is taken.
      const name = i % 3 === 2 ? `l${i - 1}` : `l${i}`;
      return { op: "link.create", name, kind: "ifb" };
    });
    const answers = netlink().talk(messages);
    expect(answers).toHaveLength(300);
    answers.forEach((answer, i) => {
      if (i % 3 === 2) expect(answer?.errno).toBe(EEXIST);
      else expect(answer).toBeNull();
    });
    const made = netlink().links({ kind: "ifb" });
    expect(made).toHaveLength(200);
    must(
      netlink(),
      ...made.map(({ ifindex }): Message => ({ op: "link.set", ifindex, group: GROUP })),
    );
    must(netlink(), { op: "link.deleteGroup", group: GROUP });
    expect(netlink().links({ kind: "ifb" })).toEqual([]);
  });

  it("sends nothing for nothing", () => {
    expect(netlink().talk([])).toEqual([]);
  });

  it("carries a creation that needs a second message between others", () => {
    const answers = netlink().talk([
      { op: "link.create", name: "a", kind: "ifb" },
      { op: "link.create", name: "b", kind: "ifb", alias: "two" },
      { op: "link.create", name: "b", kind: "ifb", alias: "three" },
      { op: "link.create", name: "c", kind: "ifb" },
    ]);
    expect(answers.map((answer) => answer?.errno ?? 0)).toEqual([0, 0, EEXIST, 0]);
    expect(linkNamed(netlink(), "b").alias).toBe("two");
  });
});
