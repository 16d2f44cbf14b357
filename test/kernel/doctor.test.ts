// The doctor's findings about the network namespace: each cause is created, found, and mended by
// the very commands that the finding names.

import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { diagnose } from "../../dist/doctor/doctor.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { expectMended, findingOf, lookFor, mend, sh } from "../support/diagnosis.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  deleteLink,
  linkNamed,
  makeForeignLink,
  makeTap,
  readNetworkLines,
  tellKernel,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const OFF = [
  "net.ipv4.ip_forward=1",
  "net.ipv4.conf.all.rp_filter=0",
  "net.bridge.bridge-nf-call-iptables=0",
  "net.bridge.bridge-nf-call-ip6tables=0",
  "net.bridge.bridge-nf-call-arptables=0",
];

/** A host with nothing to find fault with; a kernel without br_netfilter lacks some of these. */
beforeEach(() => sh(`sysctl -q -e -w ${OFF.join(" ")}`));
afterEach(() => {
  if (linkNamed(BRIDGE)) deleteLink(BRIDGE);
});

function makeBridge(): void {
  tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge", multicastSnooping: false });
}

it("finds nothing wrong on a good host with a network in use, and changes nothing", async () => {
  const network = await openForTest(testOptions({ pool: { size: 2 } }));
  await poolFilled(network, 2);
  await (await network.createAllocation(REQUEST)).shaped;
  await poolFilled(network, 2);
  const before = readNetworkLines();
  const { findings, counts } = await diagnose(BRIDGE);
  expect(findings.filter(({ severity }) => severity !== "ok")).toEqual([]);
  expect(counts).toEqual({ ok: findings.length, warning: 0, problem: 0 });
  expect(findingOf({ findings }, "bridge.exists").found).toContain("forknet made it");
  expect(findingOf({ findings }, "bridge.ports").found).toBe(
    "3 of 1023 ports used: 1 guests, 2 warm slots, 0 not forknet's",
  );
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
});

it("a bridge that is not there is no fault", async () => {
  expect(await lookFor("bridge.exists")).toMatchObject({
    severity: "ok",
    found: expect.stringContaining("openNetwork makes it") as string,
  });
});

it("finds a link with the bridge's name that is none", async () => {
  tellKernel({ op: "link.create", name: BRIDGE, kind: "ifb" });
  const finding = await lookFor("bridge.exists");
  expect(finding).toMatchObject({ severity: "problem", found: "vmbr0 is not a bridge (ifb)" });
  mend(finding);
});

it("finds multicast snooping", async () => {
  sh(`ip link add ${BRIDGE} type bridge`);
  await expectMended("bridge.multicast-snooping", "warning", /is on at vmbr0/);
});

it("finds what the owner of a bridge should set, and what an earlier release left on one with an uplink", async () => {
  makeBridge();
  await expectMended("bridge.mcast-solicit", "warning", /mcast_solicit is 3/);
  await expectMended("bridge.send-redirects", "warning", /send_redirects is 1/);
  const master = linkNamed(BRIDGE)?.ifindex as number;
  tellKernel({ op: "link.set", ifindex: makeForeignLink("uplink9"), master });
  onTestFinished(() => deleteLink("uplink9"));
  await expectMended("bridge.mcast-solicit", "warning", /mcast_solicit is 0/);
  sh(`sysctl -q -w net/ipv6/conf/${BRIDGE}/disable_ipv6=1`);
  await expectMended("bridge.ipv6", "warning", /disable_ipv6 is 1/);
});

it("finds forwarding off, for the host and for the bridge", async () => {
  sh("sysctl -q -w net.ipv4.ip_forward=0");
  await expectMended("host.ip-forward", "warning", /ip_forward is 0/);
  makeBridge();
  sh(`sysctl -q -w net.ipv4.conf.${BRIDGE}.forwarding=0`);
  await expectMended("host.ip-forward", "warning", /vmbr0\/forwarding is 0/);
});

it("finds a strict reverse path filter at the bridge and at an uplink", async () => {
  makeBridge();
  sh(`sysctl -q -w net.ipv4.conf.${BRIDGE}.rp_filter=1`);
  await expectMended("host.rp-filter", "warning", /^strict at vmbr0$/);
  sh("ip link add up0 type ifb; ip addr add 192.0.2.2/24 dev up0; ip link set up0 up");
  sh("ip route add default via 192.0.2.1; sysctl -q -w net.ipv4.conf.up0.rp_filter=0");
  sh("sysctl -q -w net.ipv4.conf.all.rp_filter=1");
  await expectMended("host.rp-filter", "warning", /^strict at up0$/);
  sh("ip link delete up0");
});

it("finds netfilter on bridges", async () => {
  sh("sysctl -q -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-arptables=1");
  await expectMended("host.bridge-netfilter", "warning", /call-iptables, .*call-arptables are 1/);
});

it("finds TAPs that are not ours, and tells those in use apart", async () => {
  makeBridge();
  makeTap("idle0", { master: BRIDGE });
  makeTap("other0", { master: BRIDGE, alias: "somebody's" });
  const addon = loadAddon();
  const { fd } = addon.openTap({ name: "other0" });
  sh("ip link set other0 up");
  const finding = await lookFor("bridge.foreign-taps");
  expect(finding.severity).toBe("warning");
  expect(finding.found).toContain("nobody has open: idle0; in use: other0");
  expect(finding.mend[0]).toBe("ip link delete dev idle0");
  sh(finding.mend[0] as string);
  addon.closeFd(fd);
  await expectMended("bridge.foreign-taps", "warning", /nobody has open: other0/);
});

it("quotes what a shell would obey in a link's name", async () => {
  makeBridge();
  const name = "a;touch$(x)'b";
  makeTap(name, { master: BRIDGE });
  expect((await lookFor("bridge.foreign-taps")).mend).toEqual([
    `ip link delete dev 'a;touch$(x)'\\''b'`,
  ]);
  await expectMended("bridge.foreign-taps", "warning", /nobody has open: a;touch/);
  expect(linkNamed(name)).toBeUndefined();
});

it("finds limits of others on the bridge and on its ports", async () => {
  const network = await openForTest();
  await (await network.createAllocation(REQUEST)).shaped;
  makeTap("other0", { master: BRIDGE });
  sh(`tc qdisc add dev ${BRIDGE} root handle 1: htb`);
  sh("tc qdisc add dev other0 root tbf rate 1mbit burst 10k latency 50ms");
  await expectMended("bridge.foreign-limits", "warning", /^htb on vmbr0, tbf on other0$/);
});

it("finds rules of ebtables and nftables that name the bridge, and not our own table", async () => {
  sh(`nft 'table ip forknet-${BRIDGE} { chain c { iifname "${BRIDGE}" accept; }; }'`);
  expect((await lookFor("bridge.foreign-rules")).severity).toBe("ok");
  sh(`ebtables -A FORWARD -i ${BRIDGE} -j DROP`);
  sh(`nft 'table inet other { chain c { oifname "${BRIDGE}" counter; }; }'`);
  await expectMended(
    "bridge.foreign-rules",
    "warning",
    /^rules that name vmbr0: 1 in bridge filter FORWARD, 1 in inet other c$/,
  );
  sh("nft flush ruleset");
});

it("finds a forward chain that drops, of nft and of iptables", async () => {
  sh("nft 'table inet fw { chain f { type filter hook forward priority 0; policy drop; }; }'");
  await expectMended("host.forward-policy", "warning", /^inet fw f \(nft\) drops by default$/);
  sh("nft flush ruleset; iptables-nft -P FORWARD DROP");
  await expectMended("host.forward-policy", "warning", /^FORWARD \(iptables-nft\) drops/);
  sh("nft flush ruleset");
});

it("finds no fault with what `nat` adds", async () => {
  sh("iptables-nft -P FORWARD DROP");
  await openForTest(testOptions({ nat: {} }));
  expect((await lookFor("host.forward-policy")).severity).toBe("ok");
  expect((await lookFor("bridge.foreign-rules")).severity).toBe("ok");
  sh(`iptables-nft -I FORWARD -i ${BRIDGE} -j DROP`);
  expect((await lookFor("bridge.foreign-rules")).found).toMatch(/: 1 in FORWARD$/);
  onTestFinished(() => sh("nft flush ruleset"));
});
