// Both sides of privilege, in processes of their own: what is missing is named and nothing is
// changed, and what is enough is enough for every call.

import { chmodSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Agent, without } from "../support/agent.js";
import { WITHOUT_KFUNCS } from "../support/judging.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { classNamed, linkNamed, readNetworkLines, tbfOf } from "../support/kernel-view.js";
import { SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

/** Runs a command in a mount namespace where /dev/net is another directory. */
function withDevNet(mount: string): string[] {
  return ["unshare", "--mount", "sh", "-c", `${mount} && exec "$@"`, "sh"];
}

const EMPTY = "mount -t tmpfs none /dev/net";
const FORBIDDEN = "mount -t tmpfs -o nodev none /dev/net && mknod /dev/net/tun c 10 200";

describe("openNetwork is refused", () => {
  it.each([
    ["CAP_NET_ADMIN", without("net_admin"), /CAP_NET_ADMIN/],
    ["CAP_NET_ADMIN and CAP_SYS_ADMIN", without("net_admin", "sys_admin"), /CAP_NET_ADMIN/],
    ["CAP_BPF and CAP_SYS_ADMIN", without("bpf", "sys_admin"), /CAP_BPF/],
    ["/dev/net/tun", withDevNet(EMPTY), /\/dev\/net\/tun is missing/],
    ["leave to open /dev/net/tun", withDevNet(FORBIDDEN), /\/dev\/net\/tun/],
  ])("without %s, by name, and the kernel is as it was", async (_, launcher, names) => {
    const before = readNetworkLines();
    const agent = new Agent(launcher);
    const error = await agent.open(testOptions()).then(
      () => undefined,
      (refusal: { code?: string; message: string }) => refusal,
    );
    expect(error).toMatchObject({ code: "ERR_FORKNET_PERMISSION" });
    expect(error?.message).toMatch(names);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it.each(["", "state"])("without leave to write where its state goes (%o)", async (below) => {
    const before = readNetworkLines();
    const { stateDir } = testOptions() as { stateDir: string };
    chmodSync(stateDir, 0o500);
    const agent = new Agent(without("dac_override"));
    await expect(
      agent.open(testOptions({ stateDir: join(stateDir, below) })),
    ).rejects.toMatchObject({
      code: "ERR_FORKNET_PERMISSION",
      message: expect.stringContaining(stateDir) as string,
    });
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("and opens in the same process tree once the privilege is there", async () => {
    const options = testOptions();
    await expect(new Agent(without("net_admin")).open(options)).rejects.toMatchObject({
      code: "ERR_FORKNET_PERMISSION",
    });
    const agent = new Agent();
    expect(await agent.open(options)).toEqual([]);
    await agent.call("destroy");
  });
});

it.each([
  ["without CAP_SYS_ADMIN", without("sys_admin")],
  [
    "with CAP_NET_ADMIN and CAP_BPF only",
    ["setpriv", "--bounding-set=-all,+net_admin,+bpf", "--inh-caps=-all,+net_admin,+bpf"],
  ],
])("every call works %s", async (_, launcher) => {
  const before = readNetworkLines();
  const options = testOptions(WITHOUT_KFUNCS);
  const agent = new Agent(launcher);
  await agent.open(options);
  const { tap, classId, ip } = await agent.fork(REQUEST);
  expect(tbfOf(tap)?.rate).toBe(12_500_000);
  expect(classNamed(SHAPER, classId)?.rate).toBe(2_500_000);
  await agent.call("updateLimits", "vm-1", { download: "8mbit" });
  expect(tbfOf(tap)?.rate).toBe(1_000_000);
  await agent.call("standbyAllocation", "vm-1");
  expect(linkNamed(tap)).toBeUndefined();
  expect(await agent.call("recreateAllocation", "vm-1")).toMatchObject({
    ip,
    state: "active",
    shaping: "shaped",
  });
  expect(await agent.call("verify")).toMatchObject({ compared: 1, differences: [] });
  expect(await agent.call("reconcile")).toMatchObject({ kept: 1, actions: [], remaining: 0 });
  expect(await agent.call("drops")).toMatchObject({ unarmed: 0 });
  await agent.call("close");
  expect(await agent.open(options)).toMatchObject([
    { instanceId: "vm-1", ip, state: "active", shaping: "shaped" },
  ]);
  await agent.call("releaseAllocation", "vm-1");
  await agent.call("destroy");
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
});
