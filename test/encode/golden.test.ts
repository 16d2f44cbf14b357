// Our bytes against those that ip, bridge and tc send for the same command
// (scripts/capture-golden.sh), field by field; and against themselves, byte by byte: a change of a
// single one is a change somebody must want.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { Message } from "../../src/kernel/messages.js";
import { cases } from "./cases.js";
import { decode, differences } from "./decode.js";
import { settingCases } from "./link-cases.js";

interface Area {
  iproute2: string;
  fixtures: Record<string, { command: string; bytes: string }>;
}

const directory = new URL("./golden/", import.meta.url);
const areas = new Map<string, Area>(
  readdirSync(directory).map((file) => [
    file.replace(/\.json$/, ""),
    JSON.parse(readFileSync(new URL(file, directory), "utf8")) as Area,
  ]),
);

function golden(name: string) {
  const [area, fixture] = name.split("/") as [string, string];
  const found = areas.get(area)?.fixtures[fixture];
  if (found === undefined) throw new Error(`there is no fixture ${name}`);
  return found;
}

function encodeOne(message: Message): Buffer {
  const [bytes, ...more] = loadAddon().encode([message]);
  if (bytes === undefined || more.length > 0)
    throw new Error("expected one buffer for one message");
  return bytes;
}

const label = ({ golden: name }: { golden: string }) => golden(name).command;

describe("the same as iproute2, but for", () => {
  it.each(cases.map((one) => ({ ...one, label: label(one) })))(
    "$label",
    ({ golden: name, message, differs }) => {
      const ours = encodeOne(message);
      expect(differences(Buffer.from(golden(name).bytes, "hex"), ours)).toEqual(
        Object.keys(differs ?? {}).sort(),
      );
    },
  );
});

describe("pinned bytes", () => {
  it.each(cases)("$golden", ({ message }) => {
    expect(encodeOne(message).toString("hex")).toMatchSnapshot();
  });
});

describe("settings that only sysctl(8) writes otherwise", () => {
  it.each(settingCases)("$message", ({ message, sets }) => {
    const bytes = encodeOne(message);
    const values = [...decode(bytes)].filter(([, value]) => value !== "nested");
    const header = ["type", "nlmsg_flags", "nlmsg_pid"];
    const body = ["family", "pad", "type", "index", "flags", "change"];
    const settings = values.filter(([path]) => ![...header, ...body].includes(path));
    expect(Object.fromEntries(settings)).toEqual(sets);
    expect(bytes.toString("hex")).toMatchSnapshot();
  });
});

describe("the fixtures", () => {
  it("are all used", () => {
    const recorded = [...areas].flatMap(([area, { fixtures }]) =>
      Object.keys(fixtures).map((name) => `${area}/${name}`),
    );
    expect(cases.map((one) => one.golden).sort()).toEqual(recorded.sort());
  });

  it("cover every operation", () => {
    const covered = new Set(cases.map(({ message }) => message.op));
    const operations: Record<Message["op"], true> = {
      "link.create": true,
      "link.set": true,
      "link.delete": true,
      "link.deleteGroup": true,
      "port.set": true,
      "fdb.add": true,
      "fdb.delete": true,
      "neighbor.set": true,
      "neighbor.delete": true,
      "neighbor.table": true,
      "address.add": true,
      "address.delete": true,
      "route.add": true,
      "qdisc.tbf": true,
      "qdisc.htb": true,
      "qdisc.clsact": true,
      "qdisc.bfifo": true,
      "qdisc.fq_codel": true,
      "qdisc.blackhole": true,
      "qdisc.delete": true,
      "class.htb": true,
      "class.delete": true,
      "filter.bpf": true,
      "filter.delete": true,
    };
    expect([...covered].sort()).toEqual(Object.keys(operations).sort());
  });

  it("say which iproute2 they are from", () => {
    for (const { iproute2 } of areas.values()) expect(iproute2).toMatch(/^iproute2-\d/);
  });
});

describe("several messages", () => {
  it("are numbered from 1, one buffer each", () => {
    const buffers = loadAddon().encode([
      { op: "link.delete", ifindex: 1 },
      { op: "link.delete", ifindex: 2 },
      { op: "link.delete", ifindex: 3 },
    ]);
    expect(buffers.map((bytes) => bytes.readUInt32LE(8))).toEqual([1, 2, 3]);
    expect(loadAddon().encode([])).toEqual([]);
  });

  it("put what needs an existing link into a second message behind a link's creation", () => {
    const bytes = encodeOne({
      op: "link.create",
      name: "br7",
      kind: "bridge",
      alias: "a",
      addressGeneration: "none",
    });
    const first = bytes.readUInt32LE(0);
    const second = bytes.subarray(first);
    expect(second.readUInt32LE(0)).toBe(second.length);
    expect(second.readUInt32LE(8)).toBe(2);
    expect(bytes.toString("hex")).toMatchSnapshot();
  });
});
