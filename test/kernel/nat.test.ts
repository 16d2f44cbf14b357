// The life of a network's firewall rules: made once, found again, replaced, repaired, removed; and
// what happens when they cannot be made. What they let through is in nat-traffic.test.ts.

import { chownSync, readFileSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ForknetError, type Network, type NetworkOptions, openNetwork } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Agent } from "../support/agent.js";
import { ERRNO, Faults } from "../support/faults.js";
import { FaultyCommands } from "../support/faulty-commands.js";
import { firewall, isForwarding, readRules, setForwarding } from "../support/internet.js";
import { WITHOUT_KFUNCS } from "../support/judging.js";
import { deleteLink, makeForeignLink } from "../support/kernel-view.js";
import { BRIDGE, expectNotOpened, openForTest, testOptions } from "../support/network.js";

const TABLE = "table ip forknet-vmbr0";
/** At least so many: a network that opens has behind it what was to be tried. */
const COMMANDS_OF_AN_OPEN = 5;
const OPERATIONS_OF_AN_OPEN = 20;
const REDIRECTS = "/proc/sys/net/ipv4/conf/all/accept_redirects";

/** A link that an operator lets forward, though the host does not. */
const ONE_LINK = "/proc/sys/net/ipv4/conf/lo/forwarding";

const withNat = (nat: NetworkOptions["nat"] = {}) => testOptions({ nat: nat as object });

const attempt = (opening: Promise<Network>): Promise<Network | Error> =>
  opening.catch((error: Error) => error);

/** A host whose firewalls drop what is forwarded, in both of nft's ways. */
function dropForwarded(): void {
  firewall(`iptables-nft -P FORWARD DROP
    nft add table inet filter
    nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'`);
  onTestFinished(() => firewall("nft delete table inet filter; nft delete table ip filter"));
}

beforeEach(() => setForwarding(true));

describe("the rules of a network", () => {
  it("stay while it is closed, are the same after a reopen, and go with it", async () => {
    dropForwarded();
    const before = readRules();
    const options = withNat();
    const network = await openForTest(options);
    const opened = readRules();
    expect(opened).not.toEqual(before);
    await network.close();
    expect(readRules()).toEqual(opened);
    const again = await openForTest(options);
    expect(readRules()).toEqual(opened);
    expect(await again.verify()).toMatchObject({ differences: [] });
    await again.destroy();
    expect(readRules()).toEqual(before);
  });

  it("are replaced when it opens with other options, and go when nat is off", async () => {
    dropForwarded();
    const before = readRules();
    const options = withNat();
    await (await openForTest(options)).close();
    const other = { ...options, nat: { uplink: "lo", allowHost: ["icmp"] } };
    await (await openForTest(other)).close();
    const rules = readRules();
    expect(rules.join("\n")).not.toContain('oifname != "vmbr0" masquerade');
    expect(rules.filter((line) => line.includes("masquerade"))).toHaveLength(1);
    await (await openForTest({ ...options, nat: false })).close();
    expect(readRules()).toEqual(before);
  });

  it("leave those of another network and of others alone", async () => {
    dropForwarded();
    firewall("nft add rule inet filter forward tcp dport 22 accept comment '\"ssh\"'");
    const other = await openForTest(
      testOptions({ bridge: "vmbr0.1", subnet: "10.101.0.0/16", nat: {} }),
    );
    const before = readRules();
    const network = await openForTest(withNat());
    expect(await other.verify()).toMatchObject({ differences: [] });
    await network.destroy();
    expect(readRules()).toEqual(before);
  });

  const DAMAGES: [string, string, string][] = [
    ["the table is gone", `nft delete ${TABLE}`, "nat"],
    ["a chain is empty", "nft flush chain ip forknet-vmbr0 to-host", "nat"],
    ["a rule too many", "nft insert rule ip forknet-vmbr0 to-guests accept", "nat"],
    ["forwarding is off", "sysctl -qw net.ipv4.ip_forward=0", "ip_forward"],
    ["an accept rule is gone", "iptables-nft -D FORWARD 1", "nat-accept"],
    ["a new chain drops", "nft chain inet late forward '{ policy drop; }'", "nat-accept"],
  ];
  it.each(DAMAGES)("are repaired: %s", async (_, damage, what) => {
    dropForwarded();
    firewall(`nft add table inet late
      nft 'add chain inet late forward { type filter hook forward priority 1; policy accept; }'`);
    onTestFinished(() => firewall("nft delete table inet late"));
    const network = await openForTest(withNat({ enableForwarding: true, repair: false }));
    firewall(damage);
    const { differences } = await network.verify();
    expect(differences).toMatchObject([{ subject: BRIDGE, what }]);
    const damaged = readRules();
    await network.reconcile({ dryRun: true });
    expect(readRules()).toEqual(damaged);
    const { actions } = await network.reconcile();
    expect(actions).toMatchObject([{ action: "repair", subject: BRIDGE }]);
    expect(actions[0]?.error).toBeUndefined();
    expect(await network.verify()).toMatchObject({ differences: [] });
    expect(isForwarding()).toBe(true);
    expect(await network.reconcile()).toMatchObject({ actions: [] });
  });
});

describe("forwarding that is off", () => {
  it("is an error that says how to turn it on, and a finding that is not repaired unasked", async () => {
    setForwarding(false);
    const rules = readRules();
    await expectNotOpened(withNat(), "CONFIG", {
      message: expect.stringMatching(/sysctl -w net.ipv4.ip_forward=1.*enableForwarding: true/),
    });
    expect(readRules()).toEqual(rules);
    setForwarding(true);
    const network = await openForTest(withNat());
    setForwarding(false);
    const { actions } = await network.reconcile();
    expect(actions[0]?.error).toMatchObject({ code: "ERR_FORKNET_CONFIG" });
    expect(isForwarding()).toBe(false);
  });

  it("is turned on when asked for, and stays on after destroy", async () => {
    setForwarding(false);
    const network = await openForTest(withNat({ enableForwarding: true }));
    expect(isForwarding()).toBe(true);
    await network.destroy();
    expect(isForwarding()).toBe(true);
  });
});

describe("a network does not open, and nothing changes", () => {
  it("when the uplink does not exist", async () => {
    const rules = readRules();
    const message = expect.stringContaining("'eth9'");
    await expectNotOpened(withNat({ uplink: "eth9" }), "CONFIG", { message });
    expect(readRules()).toEqual(rules);
  });

  it("when somebody else has a table of its name", async () => {
    firewall(`nft add ${TABLE}; nft add chain ip forknet-vmbr0 mine`);
    onTestFinished(() => firewall(`nft delete ${TABLE}`));
    const rules = readRules();
    await expectNotOpened(withNat(), "CONFLICT", { message: expect.stringContaining(TABLE) });
    expect(readRules()).toEqual(rules);
  });

  it("when the bridge is somebody else's: no rule has been made for it meanwhile", async () => {
    makeForeignLink(BRIDGE);
    onTestFinished(() => deleteLink(BRIDGE));
    const commands = new FaultyCommands();
    await expectNotOpened(withNat(), "CONFLICT");
    expect(commands.calls).toEqual([]);
  });

  it("when nft is not installed: the error names the package", async () => {
    const hidden = 'mount -t tmpfs none /usr/sbin && exec "$@"';
    const agent = new Agent(["unshare", "--mount", "sh", "-c", hidden, "sh"]);
    await expect(agent.open(withNat())).rejects.toMatchObject({
      code: "ERR_FORKNET_UNSUPPORTED",
      message: expect.stringMatching(/ nft, .* install the package nftables/),
    });
  });

  it("when the agent lacks CAP_NET_ADMIN", async () => {
    const agent = new Agent(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    await expect(agent.open(withNat())).rejects.toMatchObject({
      code: "ERR_FORKNET_PERMISSION",
      message: expect.stringContaining("CAP_NET_ADMIN"),
    });
  });
});

it("an agent that is not root manages its rules with CAP_NET_ADMIN and CAP_BPF, ambient", async () => {
  dropForwarded();
  const before = readRules();
  const options = { ...withNat(), ...WITHOUT_KFUNCS };
  chownSync(options.stateDir as string, 65_534, 65_534);
  const capabilities = ["--inh-caps=+net_admin,+bpf", "--ambient-caps=+net_admin,+bpf"];
  const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const agent = new Agent(["setpriv", ...user, ...capabilities]);
  await agent.open(options);
  expect(readRules()).not.toEqual(before);
  expect(await agent.call("verify")).toMatchObject({ differences: [] });
  await agent.call("destroy");
  expect(readRules()).toEqual(before);
});

it("a destroy that fails in a firewall command can be repeated", async () => {
  dropForwarded();
  const options = withNat();
  const before = readRules();
  const commands = new FaultyCommands();
  for (let at = 1; ; at++) {
    const network = await openNetwork(options);
    // What opening has left to do in the background runs commands, too.
    await network.reconcile();
    commands.failAt(at);
    const error = await network.destroy().catch((reason: Error) => reason);
    const call = commands.calls[at - 1];
    commands.failAt(0);
    if (error === undefined) {
      expect(at).toBeGreaterThan(COMMANDS_OF_AN_OPEN);
      break;
    }
    expect(error, call).toMatchObject({ code: "ERR_FORKNET_KERNEL" });
    await (await openNetwork(options)).destroy();
    expect(readRules(), call).toEqual(before);
  }
  expect(readRules()).toEqual(before);
});

/** One network that is there already, with other rules than those of the open that fails. */
describe.each([false, true])("a failure half way, with a network to adopt: %s", (isAdopting) => {
  const prepare = async () => {
    dropForwarded();
    setForwarding(false);
    const options = withNat({ enableForwarding: true });
    if (isAdopting) {
      await (
        await openForTest({ ...options, nat: { uplink: "lo", enableForwarding: true } })
      ).close();
      setForwarding(false);
    }
    writeFileSync(ONE_LINK, "1");
    return options;
  };
  const switches = () => [REDIRECTS, ONE_LINK].map((path) => readFileSync(path, "utf8"));
  const state = () => [...readRules(), isForwarding(), ...switches()];

  it("of a firewall command leaves rules and settings as they were", async () => {
    const options = await prepare();
    const commands = new FaultyCommands();
    const before = state();
    for (let at = 1; ; at++) {
      commands.failAt(at);
      const opened = await attempt(openNetwork(options));
      const call = commands.calls[at - 1];
      commands.failAt(0);
      if (!(opened instanceof Error)) {
        await opened.destroy();
        expect(at).toBeGreaterThan(COMMANDS_OF_AN_OPEN);
        break;
      }
      expect(opened, call).toMatchObject({ code: "ERR_FORKNET_KERNEL" });
      expect(state(), call).toEqual(before);
    }
  });

  it("of the kernel leaves rules and settings as they were", async () => {
    const options = await prepare();
    const faults = new Faults();
    const before = state();
    // Not every one: what the kernel's own way back is worth is shown elsewhere.
    for (let at = 1; ; at += 5) {
      faults.refuse({ errno: ERRNO.ENOMEM, at });
      const opened = await attempt(openWith(options, { kernelModule: faults.module }));
      const operation = faults.journal[at - 1];
      faults.none();
      if (!(opened instanceof Error)) {
        await opened.destroy();
        expect(at).toBeGreaterThan(OPERATIONS_OF_AN_OPEN);
        break;
      }
      expect(opened, operation).toBeInstanceOf(ForknetError);
      expect(state(), operation).toEqual(before);
    }
  });
});
