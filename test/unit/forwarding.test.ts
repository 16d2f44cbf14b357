// Which bridges keep new ports silent, and which ports with a VMM let nothing pass.

import { expect, it } from "vitest";
import type { BridgeInfo, LinkInfo } from "../../src/kernel/link-info.js";
import { findSilencers, silenceOf } from "../../src/plans/forwarding.js";

const LINK: LinkInfo = {
  ifindex: 3,
  name: "br0",
  kind: "bridge",
  master: 0,
  up: true,
  lowerUp: true,
  running: true,
  mac: 0x02000a640001,
  mtu: 1500,
  group: 0,
  alias: "",
  forwarding: false,
  sendRedirects: true,
  txQueueLength: 1000,
  carrierUps: 1,
};
const FINE: BridgeInfo = {
  multicastSnooping: false,
  vlanFiltering: false,
  stpState: 0,
  forwardDelayMs: 15_000,
};
const FLAGS = {
  isolated: true,
  learning: false,
  unicastFlood: false,
  multicastFlood: false,
  broadcastFlood: false,
};

it.each<[string, Partial<BridgeInfo>, string[]]>([
  ["a plain bridge", {}, []],
  ["VLANs with one for new ports", { vlanFiltering: true, defaultVlan: 1 }, []],
  ["no VLAN for new ports, and no filter", { vlanFiltering: false, defaultVlan: 0 }, []],
  [
    "no VLAN for new ports",
    { vlanFiltering: true, defaultVlan: 0 },
    ["ip link set dev br0 type bridge vlan_default_pvid 1"],
  ],
  ["the kernel's STP", { stpState: 1 }, ["ip link set dev br0 type bridge stp_state 0"]],
  ["a daemon's STP", { stpState: 2 }, ["ip link set dev br0 type bridge stp_state 0"]],
])("%s", (_, set, commands) => {
  const found = findSilencers({ ...LINK, bridge: { ...FINE, ...set } });
  expect(found.map(({ mend }) => mend)).toEqual(commands);
});

it("tells how long STP is silent", () => {
  const [found] = findSilencers({
    ...LINK,
    bridge: { ...FINE, stpState: 1, forwardDelayMs: 2000 },
  });
  expect(found?.text).toContain("for 4 s");
});

it.each<[string, Partial<LinkInfo>, number, string | undefined]>([
  ["forwards", {}, 3, undefined],
  ["listens", {}, 1, "listening"],
  ["was disabled by somebody", {}, 0, "disabled"],
  ["has no VMM", { running: false }, 0, undefined],
])("a port that %s", (_, link, state, silence) => {
  const port = { ...LINK, ...link, kind: "tun", port: { ...FLAGS, state } };
  expect(silenceOf(port, { ...LINK, bridge: FINE })).toBe(silence);
  expect(silenceOf(port, { ...LINK, up: false, bridge: FINE })).toBeUndefined();
});
