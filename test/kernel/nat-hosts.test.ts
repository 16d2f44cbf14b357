// NAT on hosts whose other firewalls drop what is forwarded, and with bridge netfilter on and off, by
// traffic.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { BRIDGE_NETFILTER, setBridgeNetfilter } from "../support/bridge-netfilter.js";
import {
  firewall,
  HOST_IP,
  INTERNET_IP,
  readRules,
  setForwarding,
  UPLINK,
  UPLINK_IP,
} from "../support/internet.js";
import {
  DROPPED,
  fork,
  GATEWAY,
  hostPort,
  missesInternet,
  openPlace,
  probe,
  probeDropped,
  reachesInternet,
} from "../support/nat-place.js";
import { BRIDGE } from "../support/network.js";
import { plugIn } from "../support/traffic-network.js";

beforeEach(() => setForwarding(true));

/** What drops forwarded packets on a host, and how it is emptied of rules. */
const DROPPING = {
  "iptables (nft), as Docker sets it up": [
    `iptables-nft -P FORWARD DROP
     iptables-nft -N DOCKER-USER
     iptables-nft -A DOCKER-USER -j RETURN
     iptables-nft -A FORWARD -j DOCKER-USER`,
    "iptables-nft -F FORWARD; iptables-nft -A FORWARD -j DOCKER-USER",
    "nft delete table ip filter",
  ],
  "iptables (legacy), as Docker sets it up": [
    `iptables-legacy -P FORWARD DROP
     iptables-legacy -N DOCKER-USER
     iptables-legacy -A DOCKER-USER -j RETURN
     iptables-legacy -A FORWARD -j DOCKER-USER`,
    "iptables-legacy -F FORWARD; iptables-legacy -A FORWARD -j DOCKER-USER",
    "iptables-legacy -F; iptables-legacy -X; iptables-legacy -P FORWARD ACCEPT",
  ],
  "iptables, as ufw sets it up": [
    `iptables-nft -P FORWARD DROP
     iptables-nft -N ufw-before-forward
     iptables-nft -N ufw-reject-forward
     iptables-nft -A FORWARD -j ufw-before-forward
     iptables-nft -A FORWARD -j ufw-reject-forward
     iptables-nft -A ufw-before-forward -p icmp -j ACCEPT`,
    "iptables-nft -F FORWARD",
    "nft delete table ip filter",
  ],
  "a chain of nft with policy drop": [
    `nft add table inet filter
     nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'`,
    "nft flush chain inet filter forward",
    "nft delete table inet filter",
  ],
  "a chain of nft that ends in a reject": [
    `nft add table inet filter
     nft 'add chain inet filter forward { type filter hook forward priority 10; policy accept; }'
     nft add rule inet filter forward counter reject with icmpx type admin-prohibited`,
    "nft flush chain inet filter forward; nft add rule inet filter forward drop",
    "nft delete table inet filter",
  ],
} as const;

describe.each(Object.entries(DROPPING))("a host that forwards nothing: %s", (_, commands) => {
  const [setUp, empty, takeDown] = commands;

  it("forwards for the guests, and is as before after destroy", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const before = readRules();
    const place = await openPlace({ uplink: UPLINK }, { isRouted: true });
    expect(await reachesInternet(place)).toBe("connected");
    const { network, guest, internet } = place;
    const { port } = await guest.serveTcp({ role: "echo" });
    const control = { host: UPLINK_IP, port: await hostPort() };
    expect(await probeDropped(internet, guest.ip, port, control)).not.toBe("connected");
    await network.destroy();
    expect(readRules()).toEqual(before);
  });

  it("forwards again when reconcile has put back what somebody flushed", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const place = await openPlace({ repair: false });
    firewall(empty);
    expect(await missesInternet(place)).not.toBe("connected");
    const { differences } = await place.network.verify();
    expect(differences.map(({ what }) => what)).toEqual(["nat-accept"]);
    const { actions } = await place.network.reconcile();
    expect(actions).toMatchObject([{ action: "repair", subject: BRIDGE }]);
    expect(await place.network.verify()).toMatchObject({ differences: [] });
    expect(await reachesInternet(place)).toBe("connected");
  });
});

it("a machine that is too busy to answer is waited for", async () => {
  const { guest, internet } = await openPlace({});
  const { port } = await internet.serveTcp({ role: "echo" });
  // As the scheduler does.
  process.kill(internet.pid, "SIGSTOP");
  setTimeout(() => process.kill(internet.pid, "SIGCONT"), 1500);
  expect(await probe(guest, INTERNET_IP, port)).toBe("connected");
});

describe("bridge netfilter", () => {
  it.each(BRIDGE_NETFILTER)("bridge-nf-call-iptables %s changes nothing", async (value) => {
    setBridgeNetfilter(value);
    firewall("iptables-nft -P FORWARD DROP");
    onTestFinished(() => firewall("nft delete table ip filter"));
    const place = await openPlace({}, { isolated: false });
    expect(await reachesInternet(place)).toBe("connected");
    const port = await hostPort();
    expect(await probe(place.guest, GATEWAY, port)).toBe("connected");
    expect(await probeDropped(place.guest, HOST_IP, port)).toBe(DROPPED);
    const peer = await plugIn(await fork(place.network, "b"));
    const service = await peer.serveTcp({ role: "echo" });
    expect(await probe(place.guest, peer.ip, service.port)).toBe("connected");
  });
});
