// The addon's RulesetMonitor: which transactions of nftables it hears, and how it ends.

import { expect, it, onTestFinished } from "vitest";
import type { RulesetMonitor } from "../../src/kernel/listeners.js";
import { Ruleset } from "../../src/nat/ruleset.js";
import { firewall } from "../support/internet.js";
import { addon, thrown } from "./addon-fixture.js";

const BY = { name: "nft", pid: expect.any(Number) as number };

function listen(): RulesetMonitor {
  const monitor = new addon.RulesetMonitor();
  onTestFinished(() => monitor.close());
  return monitor;
}

function listenFor(): Ruleset {
  const ruleset = new Ruleset();
  onTestFinished(() => ruleset.close());
  return ruleset;
}

/** A transaction. */
const change = () => firewall("nft add table ip heard; nft delete table ip heard");

it("hears one generation a transaction, in order, with its process, and not who only reads", () => {
  const monitor = listen();
  expect(monitor.read()).toEqual({ generations: [], overrun: false });
  firewall(`printf 'add table ip heard\\nadd chain ip heard one\\n' | nft -f -
    iptables-nft -A INPUT -s 192.0.2.1 -j DROP
    nft list ruleset
    iptables-nft -D INPUT -s 192.0.2.1 -j DROP
    nft flush ruleset`);
  const { generations, overrun } = monitor.read();
  expect(overrun).toBe(false);
  expect(generations.map(({ process }) => process)).toEqual([
    "nft",
    "iptables-nft",
    "iptables-nft",
    "nft",
  ]);
  const first = generations[0]?.id as number;
  expect(generations.map(({ id }) => id - first)).toEqual([0, 1, 2, 3]);
  expect(monitor.read().generations).toEqual([]);
});

it("hears no more than fits, and says so", () => {
  const monitor = listen();
  const transactions = "add table ip heard\ndelete table ip heard\n";
  firewall(`for ((i = 0; i < 700; i++)); do printf '${transactions}' | nft -f -; done`);
  const { generations, overrun } = monitor.read();
  expect(overrun).toBe(true);
  expect(generations.length).toBeGreaterThan(10);
  expect(monitor.read().overrun).toBe(false);
});

it("that is closed hears nothing", () => {
  const monitor = listen();
  monitor.close();
  monitor.close();
  expect(thrown(() => monitor.read())).toMatchObject({ code: "EBADF" });
});

it("what the network changes itself is left out, and what others change meanwhile is not", async () => {
  const ruleset = listenFor();
  expect(ruleset.take()).toEqual({ isNews: false, by: undefined });
  change();
  expect(ruleset.take()).toEqual({ isNews: true, by: BY });
  await ruleset.leaveOut(async () => {
    firewall("nft add table ip heard");
    return 1;
  });
  expect(ruleset.take()).toEqual({ isNews: false, by: undefined });
  await ruleset.leaveOut(async () => {
    firewall("nft delete table ip heard");
    change();
    return 1;
  });
  // Nobody can tell which of them were others'.
  expect(ruleset.take()).toEqual({ isNews: true, by: undefined });
  change();
  await ruleset.leaveOut(async () => 0);
  expect(ruleset.take()).toEqual({ isNews: true, by: BY });
  const refused = ruleset.leaveOut(async () => {
    change();
    throw new Error("refused");
  });
  await expect(refused).rejects.toThrow("refused");
  expect(ruleset.take()).toEqual({ isNews: true, by: undefined });
});
