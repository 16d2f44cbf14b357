import { describe, expect, it } from "vitest";
import { BpfPrograms } from "../support/bpf-programs.js";
import {
  addon,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOENT,
  kept,
  must,
  openTap,
  refused,
  useNetlink,
} from "./addon-fixture.js";

const CLSACT = 0xfffffff1;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
const ETH_P_ALL = 3;
const _GBIT = 125_000_000;

const netlink = useNetlink();

describe("filters", () => {
  const name = "forknet-test";

  function programs(run: (fd: number, id: number, tag: string) => void): void {
    const loaded = new BpfPrograms();
    try {
      const { fd, id, tag } = kept(addon.bpf.loadProgram("guard", loaded.maps));
      run(fd, id, tag);
    } finally {
      loaded.close();
    }
  }

  it("are added, replaced in place, listed and deleted", () => {
    const { ifindex } = openTap({ name: "tap0" });
    programs((programFd, programId, tag) => {
      const filter = {
        op: "filter.bpf",
        ifindex,
        parent: INGRESS,
        priority: 7,
        handle: 1,
        programFd,
        name,
      } as const;
      // Depending on the kernel ENOENT or EINVAL: there is no clsact yet.
      expect([ENOENT, EINVAL, ENODEV]).toContain(
        refused(netlink(), { ...filter, verb: "add" }).errno,
      );
      must(netlink(), { op: "qdisc.clsact", verb: "add", ifindex }, { ...filter, verb: "add" });
      expect(refused(netlink(), { ...filter, verb: "add" }).errno).toBe(EEXIST);
      const expected = {
        ifindex,
        kind: "bpf",
        parent: INGRESS,
        priority: 7,
        protocol: ETH_P_ALL,
        handle: 1,
      };
      expect(netlink().filters(ifindex, INGRESS)).toEqual([
        { ...expected, bpf: { name, programId, tag, directAction: true, classid: 0 } },
      ]);
      must(netlink(), { ...filter, verb: "replace" }, { ...filter, verb: "change" });
      expect(netlink().filters(ifindex, INGRESS)).toHaveLength(1);
      expect(netlink().filters(ifindex, EGRESS)).toEqual([]);
      must(netlink(), { ...filter, verb: "add", parent: EGRESS, handle: 2, classid: 0x10000 });
      expect(netlink().filters(ifindex, EGRESS)[0]?.bpf?.classid).toBe(0x10000);
      must(
        netlink(),
        { op: "filter.delete", ifindex, parent: INGRESS, priority: 7, handle: 1 },
        { op: "filter.delete", ifindex, parent: EGRESS, priority: 7 },
      );
      expect(netlink().filters(ifindex, INGRESS)).toEqual([]);
      expect(netlink().filters(ifindex, EGRESS)).toEqual([]);
      must(netlink(), { op: "qdisc.delete", ifindex, parent: CLSACT });
      expect(
        netlink()
          .qdiscs(ifindex)
          .map(({ kind }) => kind),
      ).not.toContain("clsact");
    });
  });

  it("redirect to another link what matches, and say when that is gone", () => {
    const { ifindex } = openTap({ name: "tap0" });
    must(netlink(), { op: "link.create", name: "ifb7", kind: "ifb" });
    const redirectTo = netlink().link({ name: "ifb7" })?.ifindex ?? 0;
    programs((programFd, programId, tag) => {
      const place = { ifindex, parent: INGRESS, priority: 7, handle: 1 };
      const filter = { op: "filter.bpf", verb: "replace", ...place, programFd, name } as const;
      must(netlink(), { op: "qdisc.clsact", verb: "add", ifindex }, { ...filter, redirectTo });
      const bpf = { name, programId, tag, directAction: false, classid: 0 };
      expect(netlink().filters(ifindex, INGRESS)[0]?.bpf).toEqual({ ...bpf, redirectTo });
      must(netlink(), { op: "link.delete", ifindex: redirectTo });
      expect(netlink().filters(ifindex, INGRESS)[0]?.bpf).toEqual({ ...bpf, redirectTo: 0 });
      must(netlink(), filter);
      expect(netlink().filters(ifindex, INGRESS)[0]?.bpf).toEqual({ ...bpf, directAction: true });
    });
  });

  it("refuse what is not a program", () => {
    const { ifindex, fd } = openTap({ name: "tap0" });
    must(netlink(), { op: "qdisc.clsact", verb: "add", ifindex });
    const filter = {
      ifindex,
      parent: INGRESS,
      priority: 1,
      handle: 1,
      programFd: fd,
      name: "x",
    } as const;
    expect(refused(netlink(), { op: "filter.bpf", verb: "add", ...filter }).errno).toBe(EINVAL);
  });
});
