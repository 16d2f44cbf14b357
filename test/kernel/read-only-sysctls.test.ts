// An agent in a container, whose /proc/sys is read-only: what netlink can set is set, and what it
// cannot is refused with a sentence that says what to mount.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { openNetwork } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { findingOf } from "../support/diagnosis.js";
import { INTERNET_IP, openInternet, setForwarding, UPLINK } from "../support/internet.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  addressesOf,
  deleteLink,
  indexOf,
  ipNumber,
  linkNamed,
  readNetworkLines,
  tellKernel,
} from "../support/kernel-view.js";
import { BRIDGE, destroyedAtEnd, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";
import { plugIn } from "../support/traffic-network.js";

const READ_ONLY = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"',
  "sh",
];
const WHAT_TO_MOUNT = /mount -o remount,rw \/proc\/sys/;
const REFUSED = {
  code: "ERR_FORKNET_PERMISSION",
  message: expect.stringMatching(WHAT_TO_MOUNT) as string,
};

const setting = (path: string) => readFileSync(`/proc/sys/net/${path}`, "utf8").trim();

describe("with a read-only /proc/sys", () => {
  it("a network with nat opens, forwards for its guests, and is as before after destroy", async () => {
    setForwarding(false);
    const internet = await openInternet();
    const options = testOptions({ nat: { uplink: UPLINK, enableForwarding: true } });
    destroyedAtEnd(options);
    const agent = new Agent(READ_ONLY);
    await agent.open(options);
    expect(setting(`ipv4/conf/${BRIDGE}/send_redirects`)).toBe("0");
    expect(setting(`ipv4/neigh/${BRIDGE}/mcast_solicit`)).toBe("0");
    const forwards = (link: string) => setting(`ipv4/conf/${link}/forwarding`);
    expect([BRIDGE, UPLINK].map(forwards)).toEqual(["1", "1"]);
    const guest = await plugIn(await agent.fork(REQUEST));
    const { port } = await internet.serveTcp({ role: "echo" });
    expect(await guest.probeTcp({ host: INTERNET_IP, port })).toBe("connected");
    expect(await agent.call("verify")).toMatchObject({ differences: [] });
    await guest.stop();
    await agent.call("destroy");
    expect(forwards(UPLINK)).toBe("0");
    expect(linkNamed(BRIDGE)).toBeUndefined();
  });

  it("bridge and shaper have no address of IPv6", async () => {
    const options = testOptions();
    destroyedAtEnd(options);
    const agent = new Agent(READ_ONLY);
    await agent.open(options);
    // A bridge without a carrier would have none anyway.
    await plugIn(await agent.fork(REQUEST));
    const addresses = execFileSync("ip", ["-6", "-oneline", "address"], { encoding: "utf8" });
    expect(addresses).not.toMatch(new RegExp(`${BRIDGE}|${SHAPER}`));
  });

  it("what is off and may not be turned on is the same error as anywhere", async () => {
    setForwarding(false);
    await openInternet();
    const agent = new Agent(READ_ONLY);
    await expect(agent.open(testOptions({ nat: { uplink: UPLINK } }))).rejects.toMatchObject({
      code: "ERR_FORKNET_CONFIG",
      message: expect.stringContaining("enableForwarding"),
    });
  });

  it("is refused with what to mount, and nothing changes: the host's own switch, no uplink being known", async () => {
    setForwarding(false);
    const before = readNetworkLines();
    const options = testOptions({ nat: { enableForwarding: true } });
    await expect(new Agent(READ_ONLY).open(options)).rejects.toMatchObject(REFUSED);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("on a bridge of the operator's a network opens, and leaves its IPv6 and others' addresses", async () => {
    const options = testOptions();
    destroyedAtEnd(options);
    tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge" });
    onTestFinished(() => deleteLink(BRIDGE));
    const ifindex = indexOf(BRIDGE);
    tellKernel({ op: "link.set", ifindex, up: true });
    const agent = new Agent(READ_ONLY);
    await agent.open(options);
    expect(setting(`ipv6/conf/${BRIDGE}/disable_ipv6`)).toBe("0");
    const others = { ip: ipNumber("10.100.3.1"), prefixLength: 16 };
    tellKernel({ op: "address.add", ifindex, ...others });
    const addresses = () => addressesOf(BRIDGE);
    const before = addresses();
    await expect(agent.call("destroy")).rejects.toMatchObject(REFUSED);
    expect(addresses()).toEqual(before);
    await agent.kill();
    // Who may write finishes it.
    await (await openNetwork(options)).destroy();
    expect(addresses()).toEqual([others.ip]);
  });

  it("the doctor says so", async () => {
    const { value } = await forknetJson(["doctor"], { launcher: READ_ONLY });
    expect(findingOf(value, "host.proc-sys")).toMatchObject({
      severity: "warning",
      found: expect.stringMatching(WHAT_TO_MOUNT) as string,
      mend: ["mount -o remount,rw /proc/sys"],
    });
  });
});
