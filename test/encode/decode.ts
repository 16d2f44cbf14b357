// Takes a netlink message apart into named fields, so that two messages can be compared field by
// field. Independent of the addon: a mistake in its encoder must not be repeated here.

interface Field {
  name: string;
  at: number;
  size: 1 | 2 | 4;
}

interface Schema {
  body: readonly Field[];
  attributes: Attributes;
}

/**
 * By attribute number: a name, a name with attributes inside, or a name with a structure's fields.
 */
type Attributes = Readonly<
  Record<
    number,
    string | { name: string; nested: Attributes } | { name: string; fields: readonly Field[] }
  >
>;

/** Lays fields one behind the other: "name:size". */
function struct(text: string): readonly Field[] {
  let at = 0;
  return text.split(" ").map((part) => {
    const [name, size] = part.split(":") as [string, string];
    const field: Field = { name, at, size: Number(size) as Field["size"] };
    at += field.size;
    return field;
  });
}

const rateSpec = (name: string) =>
  `${name}.cell_log:1 ${name}.linklayer:1 ${name}.overhead:2 ${name}.cell_align:2 ${name}.mpu:2 ${name}.rate:4`;

const link: Schema = {
  body: struct("family:1 pad:1 type:2 index:4 flags:4 change:4"),
  attributes: {
    1: "IFLA_ADDRESS",
    3: "IFLA_IFNAME",
    4: "IFLA_MTU",
    10: "IFLA_MASTER",
    12: {
      name: "IFLA_PROTINFO",
      nested: {
        1: "IFLA_BRPORT_STATE",
        8: "IFLA_BRPORT_LEARNING",
        9: "IFLA_BRPORT_UNICAST_FLOOD",
        27: "IFLA_BRPORT_MCAST_FLOOD",
        30: "IFLA_BRPORT_BCAST_FLOOD",
        33: "IFLA_BRPORT_ISOLATED",
      },
    },
    13: "IFLA_TXQLEN",
    18: {
      name: "IFLA_LINKINFO",
      nested: {
        1: "IFLA_INFO_KIND",
        2: {
          name: "IFLA_INFO_DATA",
          nested: { 7: "IFLA_BR_VLAN_FILTERING", 23: "IFLA_BR_MCAST_SNOOPING" },
        },
      },
    },
    20: "IFLA_IFALIAS",
    26: {
      name: "IFLA_AF_SPEC",
      nested: {
        2: {
          name: "AF_INET",
          nested: {
            // Numbered as in <linux/ip.h>: IPV4_DEVCONF_*.
            1: { name: "IFLA_INET_CONF", nested: { 1: "forwarding", 6: "send_redirects" } },
          },
        },
        10: { name: "AF_INET6", nested: { 8: "IFLA_INET6_ADDR_GEN_MODE" } },
      },
    },
    27: "IFLA_GROUP",
  },
};

const neighbor: Schema = {
  body: struct("family:1 pad1:1 pad2:2 index:4 state:2 flags:1 type:1"),
  attributes: { 1: "NDA_DST", 2: "NDA_LLADDR" },
};

const neighborTable: Schema = {
  body: struct("family:1 pad1:1 pad2:2"),
  attributes: {
    1: "NDTA_NAME",
    6: { name: "NDTA_PARMS", nested: { 1: "NDTPA_IFINDEX", 11: "NDTPA_MCAST_PROBES" } },
  },
};

const address: Schema = {
  body: struct("family:1 prefixlen:1 flags:1 scope:1 index:4"),
  attributes: { 1: "IFA_ADDRESS", 2: "IFA_LOCAL", 4: "IFA_BROADCAST" },
};

const route: Schema = {
  body: struct("family:1 dst_len:1 src_len:1 tos:1 table:1 protocol:1 scope:1 type:1 flags:4"),
  attributes: { 1: "RTA_DST", 4: "RTA_OIF", 5: "RTA_GATEWAY" },
};

const tcBody = struct("family:1 pad1:1 pad2:2 index:4 handle:4 parent:4 info:4");

/** The first of a filter's actions, the only kind there is here. */
const mirred = {
  name: "first",
  nested: {
    1: "TCA_ACT_KIND",
    2: {
      name: "TCA_ACT_OPTIONS",
      nested: {
        2: {
          name: "TCA_MIRRED_PARMS",
          fields: struct("index:4 capab:4 action:4 refcnt:4 bindcnt:4 eaction:4 ifindex:4"),
        },
      },
    },
  },
};

/** What TCA_OPTIONS holds depends on the kind. */
const tcOptions: Record<string, { nested: Attributes } | { fields: readonly Field[] }> = {
  tbf: {
    nested: {
      1: {
        name: "TCA_TBF_PARMS",
        fields: struct(`${rateSpec("rate")} ${rateSpec("peak")} limit:4 buffer:4 mtu:4`),
      },
      2: "TCA_TBF_RTAB",
      4: "TCA_TBF_RATE64",
      6: "TCA_TBF_BURST",
    },
  },
  htb: {
    nested: {
      1: {
        name: "TCA_HTB_PARMS",
        fields: struct(
          `${rateSpec("rate")} ${rateSpec("ceil")} buffer:4 cbuffer:4 quantum:4 level:4 prio:4`,
        ),
      },
      2: {
        name: "TCA_HTB_INIT",
        fields: struct("version:4 rate2quantum:4 defcls:4 debug:4 direct_pkts:4"),
      },
      3: "TCA_HTB_CTAB",
      4: "TCA_HTB_RTAB",
      6: "TCA_HTB_RATE64",
      7: "TCA_HTB_CEIL64",
    },
  },
  bfifo: { fields: struct("limit:4") },
  fq_codel: { nested: { 9: "TCA_FQ_CODEL_MEMORY_LIMIT" } },
  bpf: {
    nested: {
      1: { name: "TCA_BPF_ACT", nested: { 1: mirred } },
      3: "TCA_BPF_CLASSID",
      6: "TCA_BPF_FD",
      7: "TCA_BPF_NAME",
      8: "TCA_BPF_FLAGS",
    },
  },
};

const families: Record<number, Schema> = {
  16: link, // RTM_NEWLINK and the three numbers after it
  20: address,
  24: route,
  28: neighbor,
  64: neighborTable,
  36: { body: tcBody, attributes: { 1: "TCA_KIND" } }, // qdisc
  40: { body: tcBody, attributes: { 1: "TCA_KIND" } }, // class
  44: { body: tcBody, attributes: { 1: "TCA_KIND" } }, // filter
};

const HEADER_BYTES = 16;
const TYPE_MASK = 0x3fff;

const aligned = (size: number) => (size + 3) & ~3;

/**
 * The message as "path: hexadecimal value". Length and sequence number are left out: one follows
 * from the rest, the other is the sender's business. Throws on anything it does not know by name.
 */
export function decode(message: Buffer): Map<string, string> {
  if (message.readUInt32LE(0) !== message.length)
    throw new Error("nlmsg_len is not the message's length");
  const type = message.readUInt16LE(4);
  const schema = families[type & ~3];
  if (schema === undefined) throw new Error(`message type ${type} is unknown`);
  const fields = new Map<string, string>();
  fields.set("type", String(type));
  fields.set("nlmsg_flags", message.subarray(6, 8).toString("hex"));
  fields.set("nlmsg_pid", message.subarray(12, 16).toString("hex"));
  const last = schema.body.at(-1) as Field;
  const size = aligned(last.at + last.size);
  readFields(message.subarray(HEADER_BYTES, HEADER_BYTES + size), schema.body, "", fields);
  readAttributes(message.subarray(HEADER_BYTES + size), schema.attributes, "", fields);
  return fields;
}

function readFields(
  bytes: Buffer,
  list: readonly Field[],
  path: string,
  out: Map<string, string>,
): void {
  const last = list.at(-1) as Field;
  if (bytes.length !== aligned(last.at + last.size))
    throw new Error(`${path} has ${bytes.length} bytes`);
  for (const { name, at, size } of list)
    out.set(path + name, bytes.subarray(at, at + size).toString("hex"));
}

function readAttributes(
  bytes: Buffer,
  known: Attributes,
  path: string,
  out: Map<string, string>,
): void {
  let kind: string | undefined;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    const number = bytes.readUInt16LE(at + 2) & TYPE_MASK;
    const value = bytes.subarray(at + 4, at + length);
    at += aligned(length);
    const options = kind === undefined ? undefined : tcOptions[kind];
    const entry =
      options !== undefined && number === 2 ? { name: "TCA_OPTIONS", ...options } : known[number];
    if (entry === undefined) throw new Error(`attribute ${number} in "${path}" is unknown`);
    const name = path + (typeof entry === "string" ? entry : entry.name);
    if (out.has(name)) throw new Error(`${name} is there twice`);
    if (name === "TCA_KIND") kind = value.toString("latin1").replace(/\0$/, "");
    if (typeof entry === "string") out.set(name, value.toString("hex"));
    else if ("nested" in entry)
      readAttributes(value, entry.nested, `${name}/`, out.set(name, "nested"));
    else readFields(value, entry.fields, `${name}/`, out);
  }
}

/** The paths at which the two differ, either value being absent included. */
export function differences(theirs: Buffer, ours: Buffer): string[] {
  const a = decode(theirs);
  const b = decode(ours);
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((path) => a.get(path) !== b.get(path))
    .sort();
}
