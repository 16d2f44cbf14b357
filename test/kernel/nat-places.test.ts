// Accept rules stand behind every rule of the operator, by traffic: what he drops stays dropped, wherever
// his firewall is kept, also when he says so later, and after an upgrade.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Network } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import {
  firewall,
  INTERNET_IP,
  openInternet,
  readRules,
  setForwarding,
} from "../support/internet.js";
import { DROPPED, fork, openPlace, probeDropped, reachesInternet } from "../support/nat-place.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { plugIn } from "../support/traffic-network.js";

beforeEach(() => setForwarding(true));

interface Host {
  setUp: string;
  /** Drops a port, where an operator does that. */
  drop: (port: number) => string;
  /** The same, at the end of what has the last word. */
  append: (port: number) => string;
  takeDown: string;
}

const iptables = (tool: string, chain: string, rest: Partial<Host> = {}): Host => ({
  setUp: `${tool} -P FORWARD DROP`,
  drop: (port) => `${tool} -A ${chain} -p tcp --dport ${port} -j DROP`,
  append: (port) => `${tool} -A FORWARD -p tcp --dport ${port} -j DROP`,
  takeDown: "nft delete table ip filter",
  ...rest,
});

const docker = (tool: string) => `${tool} -P FORWARD DROP
  ${tool} -N DOCKER-USER
  ${tool} -A FORWARD -j DOCKER-USER`;

const nft = (chain: string): Host => ({
  setUp: `nft add table inet filter
    nft 'add chain inet filter forward { ${chain} }'`,
  drop: (port) => `nft add rule inet filter forward tcp dport ${port} drop`,
  append: (port) => `nft add rule inet filter forward tcp dport ${port} drop`,
  takeDown: "nft delete table inet filter",
});

const closed = nft("type filter hook forward priority 0; policy drop;");

const HOSTS: [string, Host][] = [
  ["iptables (nft), in FORWARD", iptables("iptables-nft", "FORWARD")],
  [
    "iptables (nft), in DOCKER-USER",
    iptables("iptables-nft", "DOCKER-USER", { setUp: docker("iptables-nft") }),
  ],
  [
    "iptables (legacy), in DOCKER-USER",
    iptables("iptables-legacy", "DOCKER-USER", {
      setUp: docker("iptables-legacy"),
      takeDown: "iptables-legacy -F; iptables-legacy -X; iptables-legacy -P FORWARD ACCEPT",
    }),
  ],
  [
    "ufw, in the chain of the user, with a last chain that rejects",
    iptables("iptables-nft", "ufw-user-forward", {
      setUp: `iptables-nft -N ufw-user-forward
        iptables-nft -N ufw-reject-forward
        iptables-nft -A FORWARD -j ufw-user-forward
        iptables-nft -A FORWARD -j ufw-reject-forward
        iptables-nft -A ufw-reject-forward -j REJECT`,
      append: (port) => `iptables-nft -F ufw-reject-forward
        iptables-nft -A ufw-reject-forward -p tcp --dport ${port} -j DROP
        iptables-nft -A ufw-reject-forward -j REJECT`,
    }),
  ],
  ["nft, with policy drop", closed],
  [
    "nft, before the last rule, which rejects",
    {
      ...nft("type filter hook forward priority 0; policy accept;"),
      setUp: `${nft("type filter hook forward priority 0; policy accept;").setUp}
        nft add rule inet filter forward reject`,
      drop: (port) => `nft insert rule inet filter forward tcp dport ${port} drop`,
      append: (port) => `nft flush chain inet filter forward
        nft add rule inet filter forward tcp dport ${port} drop
        nft add rule inet filter forward reject`,
    },
  ],
  [
    "nft, in a chain of an earlier priority, which drops by policy, too",
    {
      ...closed,
      setUp: `nft add table inet early
        nft 'add chain inet early forward { type filter hook forward priority -50; policy drop; }'
        ${closed.setUp}`,
      drop: (port) => `nft add rule inet early forward tcp dport ${port} drop`,
      append: (port) => `nft add rule inet early forward tcp dport ${port} drop`,
      takeDown: `${closed.takeDown}; nft delete table inet early`,
    },
  ],
];

interface Ends {
  guest: Guest;
  internet: Guest;
}

/** Whether a port that the operator dropped is, beside one that he did not. */
async function isDropped({ guest, internet }: Ends, port: number): Promise<boolean> {
  const { port: open } = await internet.serveTcp({ role: "echo" });
  const control = { host: INTERNET_IP, port: open };
  return (await probeDropped(guest, INTERNET_IP, port, control)) === DROPPED;
}

const plugInto = async (network: Network) => plugIn(await fork(network, "a"));

describe.each(HOSTS)("%s", (_, { setUp, drop, append, takeDown }) => {
  it("what the operator drops is dropped, and nothing else", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const internet = await openInternet();
    const { port } = await internet.serveTcp({ role: "echo" });
    firewall(drop(port));
    const before = readRules();
    const network = await openForTest(testOptions({ nat: {} }));
    const guest = await plugInto(network);
    expect(await isDropped({ guest, internet }, port)).toBe(true);
    expect(await network.verify()).toMatchObject({ differences: [] });
    await network.destroy();
    expect(readRules()).toEqual(before);
  });

  it("what he drops later, behind the accept rules, is dropped when reconcile has looked", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const place = await openPlace({ repair: false });
    const { port } = await place.internet.serveTcp({ role: "echo" });
    firewall(append(port));
    const { differences } = await place.network.verify();
    expect(differences.map(({ what }) => what)).toEqual(["nat-accept"]);
    const { actions } = await place.network.reconcile();
    expect(actions).toMatchObject([{ action: "repair", subject: BRIDGE }]);
    expect(await place.network.verify()).toMatchObject({ differences: [] });
    expect(await isDropped(place, port)).toBe(true);
    expect(await reachesInternet(place)).toBe("connected");
  });
});

/** The accept rules as the former release had them: at the head, or all in DOCKER-USER. */
const FORMER: [string, string, (port: number) => string, string, (rules: string[]) => string][] = [
  [
    "DOCKER-USER",
    docker("iptables-nft"),
    (port) => `iptables-nft -A DOCKER-USER -p tcp --dport ${port} -j DROP`,
    "nft delete table ip filter",
    (rules) =>
      rules
        .filter((line) => line.startsWith("-A FORWARD "))
        .map((line) => {
          const rule = line.slice("-A FORWARD ".length);
          return `iptables-nft -D FORWARD ${rule}; iptables-nft -I DOCKER-USER ${rule}`;
        })
        .join("\n"),
  ],
  [
    "the head of a chain of nft",
    closed.setUp,
    closed.drop,
    closed.takeDown,
    (rules) =>
      `nft flush chain inet filter forward
       ${rules.map((rule) => `nft insert rule inet filter forward '${rule.trim()}'`).join("\n")}`,
  ],
];

it.each(FORMER)("rules that a former release left in %s are moved", async (_, ...host) => {
  const [setUp, drop, takeDown, asFormer] = host;
  firewall(setUp);
  onTestFinished(() => firewall(takeDown));
  const internet = await openInternet();
  const { port } = await internet.serveTcp({ role: "echo" });
  const options = testOptions({ nat: {} });
  await (await openForTest(options)).close();
  const own = readRules().filter((line) => line.includes(`forknet1:nat:${BRIDGE}:`));
  firewall(asFormer(own));
  firewall(drop(port));
  const network = await openForTest(options);
  const guest = await plugInto(network);
  expect(await isDropped({ guest, internet }, port)).toBe(true);
  await network.destroy();
  expect(readRules().join("\n")).not.toContain("forknet");
});

it("two networks stand in one place, and neither moves the other's", async () => {
  firewall(docker("iptables-nft"));
  onTestFinished(() => firewall("nft delete table ip filter"));
  const nat = { repair: false };
  const first = await openForTest(testOptions({ nat }));
  const other = { bridge: "vmbr1", subnet: "10.101.0.0/16" };
  const second = await openForTest(testOptions({ nat, ...other }));
  const rules = readRules();
  for (const network of [first, second, first]) {
    expect(await network.verify()).toMatchObject({ differences: [] });
    expect(await network.reconcile()).toMatchObject({ actions: [] });
  }
  expect(readRules()).toEqual(rules);
  firewall("iptables-nft -A FORWARD -s 192.0.2.9/32 -j DROP");
  await first.reconcile();
  await second.reconcile();
  expect(await first.verify()).toMatchObject({ differences: [] });
  expect(await second.verify()).toMatchObject({ differences: [] });
});
