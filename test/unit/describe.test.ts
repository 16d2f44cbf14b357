// How messages are named in errors: as an operator would search for them.

import { expect, test } from "vitest";
import { describe, formatHandle } from "../../src/kernel/describe.js";
import type { Message } from "../../src/kernel/messages.js";

const ifindex = 7;
const handle = 0x000100a0;
const filter = {
  op: "filter.bpf",
  verb: "add",
  ifindex,
  parent: 0xfffffff2,
  priority: 1,
  handle: 1,
  programFd: 3,
  name: "forknet-guard",
} as const;

const NAMED: [Message, string][] = [
  [{ op: "link.create", name: "vmbr0", kind: "bridge" }, "RTM_NEWLINK bridge vmbr0"],
  [{ op: "link.set", ifindex, up: true }, "RTM_NEWLINK up"],
  [
    { op: "link.set", ifindex, alias: "x", addressGeneration: "none" },
    "RTM_NEWLINK alias,addressGeneration",
  ],
  [{ op: "link.delete", ifindex }, "RTM_DELLINK"],
  [{ op: "link.deleteGroup", group: 4242 }, "RTM_DELLINK group 4242"],
  [{ op: "port.set", ifindex, isolated: true }, "RTM_SETLINK port flags"],
  [{ op: "fdb.add", ifindex, mac: 0x02000a640007 }, "RTM_NEWNEIGH fdb 02:00:0a:64:00:07"],
  [{ op: "fdb.delete", ifindex, mac: 0x02000a640007 }, "RTM_DELNEIGH fdb 02:00:0a:64:00:07"],
  [{ op: "neighbor.set", ifindex, ip: 0x0a640007, mac: 1 }, "RTM_NEWNEIGH 10.100.0.7"],
  [{ op: "neighbor.delete", ifindex, ip: 0x0a640007 }, "RTM_DELNEIGH 10.100.0.7"],
  [{ op: "address.add", ifindex, ip: 0x0a640001, prefixLength: 16 }, "RTM_NEWADDR 10.100.0.1/16"],
  [
    { op: "address.delete", ifindex, ip: 0x0a640001, prefixLength: 16 },
    "RTM_DELADDR 10.100.0.1/16",
  ],
  [
    { op: "route.add", ifindex, destination: 0x0a000000, prefixLength: 8 },
    "RTM_NEWROUTE 10.0.0.0/8",
  ],
  [{ op: "qdisc.clsact", verb: "add", ifindex }, "RTM_NEWQDISC clsact"],
  [{ op: "qdisc.htb", verb: "add", ifindex, handle: 0x10000, defaultMinor: 2 }, "RTM_NEWQDISC htb"],
  [{ op: "qdisc.delete", ifindex, parent: 0xffffffff }, "RTM_DELQDISC parent ffff:ffff"],
  [{ op: "class.delete", ifindex, handle }, "RTM_DELTCLASS 1:a0"],
  [filter, "RTM_NEWTFILTER forknet-guard at ffff:fff2"],
  [{ op: "filter.delete", ifindex, parent: 0x10000, priority: 1 }, "RTM_DELTFILTER at 1:0"],
];

test.each(NAMED)("%o is %s", (message, name) => {
  expect(describe(message)).toBe(name);
});

test("a class is named as tc prints it", () => {
  const rates = { rate: 1, ceil: 1, burstBytes: 1, cburstBytes: 1, quantumBytes: 1 };
  expect(
    describe({ op: "class.htb", verb: "add", ifindex, parent: 0x10001, handle, ...rates }),
  ).toBe("RTM_NEWTCLASS 1:a0");
  expect(formatHandle(0xffff0000)).toBe("ffff:0");
});
