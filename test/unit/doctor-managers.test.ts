// What the doctor says of udev, systemd-networkd, NetworkManager and the console, on hosts that are
// directories: who runs is in proc, who is told what in etc. The commands it names are run there.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Finding } from "../../src/doctor/finding.js";
import { Host, type Scene } from "../../src/doctor/host.js";
import { checkNetworkManager } from "../../src/doctor/network-manager.js";
import { checkNetworkd } from "../../src/doctor/networkd.js";
import { checkConsole } from "../../src/doctor/sysctls.js";
import { checkUdev } from "../../src/doctor/udev.js";

type Files = Record<string, string>;

const DIRECTORIES = ["udev/rules.d", "systemd/network", "NetworkManager/conf.d"];

/** A host with these files and a process of this name. */
function hostWith(runs: string, files: Files): string {
  const root = mkdtempSync(join(tmpdir(), "forknet-host-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const directory of DIRECTORIES) mkdirSync(join(root, "etc", directory), { recursive: true });
  for (const [path, text] of Object.entries({ "/proc/7/comm": `${runs}\n`, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function sceneOf(root: string, bridgeName = "vmbr0"): Scene {
  // No check of this file asks the kernel.
  return { host: new Host(root), bridgeName, bridge: undefined, netlink: undefined as never };
}

/** Runs what would change /etc on the directory instead; a daemon that is not there is not told. */
function mend(root: string, { mend: commands }: Finding): void {
  for (const command of commands) {
    if (/^(networkctl|nmcli|udevadm)/.test(command)) continue;
    execFileSync("sh", ["-ec", command.replaceAll(" /etc/", ` ${root}/etc/`)]);
  }
}

interface Case {
  name: string;
  files: Files;
  found: RegExp;
}

function expectEach(
  check: (scene: Scene) => Finding,
  daemon: string,
  severity: string,
  cases: Case[],
): void {
  it.each(cases)("$name", ({ files, found }) => {
    const root = hostWith(daemon, files);
    const finding = check(sceneOf(root));
    expect(finding).toMatchObject({ severity, found: expect.stringMatching(found) as string });
    mend(root, finding);
    expect(check(sceneOf(root))).toMatchObject({ severity: "ok", mend: [] });
  });

  it("is nothing to tell of when it does not run", () => {
    const root = hostWith("init", cases[0]?.files ?? {});
    expect(check(sceneOf(root))).toMatchObject({ severity: "ok" });
  });
}

describe("systemd-networkd", () => {
  const file = (match: string) => `[Match]\n${match}\n\n[Network]\nDHCP=yes\n`;
  expectEach(checkNetworkd, "systemd-network", "problem", [
    {
      name: "a file for every link",
      files: { "/etc/systemd/network/20-all.network": file("Name=*") },
      found: /20-all.network matches fk0a640002, .*fku0a640001, .*vmbr0/,
    },
    {
      name: "a file for every Ethernet link",
      files: { "/usr/lib/systemd/network/80-lan.network": file("Type=ether") },
      found: /80-lan.network matches fk0a640002, [^,]*fku0a640001$/,
    },
    {
      name: "a file for TAPs, in several lines",
      files: { "/run/systemd/network/70-taps.network": file("Kind=tun\nName=!en* eth*") },
      found: /70-taps.network matches fk0a640002$/,
    },
    {
      name: "a file that comes before the drop-in",
      files: {
        "/etc/systemd/network/01-all.network": file("Name=*"),
        "/etc/systemd/network/05-forknet.network":
          "[Match]\nName=fk* vmbr0\n[Link]\nUnmanaged=yes\n",
      },
      found: /01-all.network matches/,
    },
  ]);

  it.each([
    ["Name=en*"],
    ["MACAddress=02:00:00:00:00:01"],
    ["Name=!fk* vmbr0"],
    ["Name=fk*\nDriver=virtio_net"],
  ])("a file for other links is none of ours (%s)", (match) => {
    const root = hostWith("systemd-network", { "/etc/systemd/network/a.network": file(match) });
    expect(checkNetworkd(sceneOf(root)).severity).toBe("ok");
  });

  it("names the bridge in the drop-in", () => {
    const root = hostWith("systemd-network", { "/etc/systemd/network/b.network": file("Name=*") });
    const scene = sceneOf(root, "br7");
    mend(root, checkNetworkd(scene));
    expect(checkNetworkd(scene).severity).toBe("ok");
    expect(checkNetworkd(sceneOf(root)).found).toMatch(/b.network matches vmbr0$/);
  });
});

describe("NetworkManager", () => {
  const main = "/etc/NetworkManager/NetworkManager.conf";
  expectEach(checkNetworkManager, "NetworkManager", "warning", [
    { name: "as it comes", files: {}, found: /manages fk0a640002, fku0a640001, vmbr0$/ },
    {
      name: "told of the bridge only",
      files: { [main]: "[keyfile]\nunmanaged-devices=interface-name:vmbr0\n" },
      found: /manages fk0a640002, fku0a640001$/,
    },
    {
      name: "with our udev rule but the bridge",
      files: { "/etc/udev/rules.d/99-zz-forknet.rules": "" },
      found: /manages vmbr0$/,
    },
  ]);

  it.each([
    ["[keyfile]\nunmanaged-devices=*\n"],
    ["[keyfile]\nunmanaged-devices=interface-name:fk*,interface-name:vmbr*\n"],
    ["[device-x]\nmatch-device=interface-name:fk*;interface-name:vmbr0\nmanaged=0\n"],
  ])("leaves alone what it is told to (%j)", (text) => {
    const root = hostWith("NetworkManager", { [main]: text });
    expect(checkNetworkManager(sceneOf(root)).severity).toBe("ok");
  });

  it("an exception counts", () => {
    const text = "[keyfile]\nunmanaged-devices=*;except:interface-name:fk*\n";
    const root = hostWith("NetworkManager", { [main]: text });
    expect(checkNetworkManager(sceneOf(root)).found).toMatch(/manages fk0a640002, fku0a640001$/);
  });
});

describe("udev", () => {
  const rule = 'SUBSYSTEM=="net", KERNEL=="fk*", ENV{NM_UNMANAGED}="1"\n';
  const installed = { "/etc/udev/rules.d/99-zz-forknet.rules": rule };
  expectEach(checkUdev, "systemd-udevd", "warning", [
    { name: "as it comes", files: {}, found: /99-zz-forknet.rules is not installed/ },
    {
      name: "with systemd's default MAC policy",
      files: {
        ...installed,
        "/usr/lib/systemd/network/99-default.link":
          "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=persistent\n",
      },
      found: /^\/usr\/lib\/systemd\/network\/99-default.link sets MACAddressPolicy=persistent$/,
    },
    {
      name: "with a rule that renames every link",
      files: {
        ...installed,
        "/etc/udev/rules.d/70-names.rules":
          '# names\nSUBSYSTEM=="net", ACTION=="add", NAME="lan%n"\n',
      },
      found: /^\/etc\/udev\/rules.d\/70-names.rules:2 applies to our TAPs$/,
    },
    {
      name: "with a rule after ours that runs something",
      files: {
        ...installed,
        "/etc/udev/rules.d/99-zzz.rules": 'SUBSYSTEM=="net", KERNEL!="lo", RUN+="/bin/hook"\n',
      },
      found: /99-zzz.rules:1 applies/,
    },
  ]);

  it.each([
    ['SUBSYSTEM=="net", ATTR{address}=="02:00:00:00:00:01", NAME="lan0"'],
    ['SUBSYSTEM=="net", KERNEL=="eth*|wl*", RUN+="/bin/hook"'],
    ['SUBSYSTEM=="block", NAME="x"'],
    ['SUBSYSTEM=="net", ENV{X}="1"'],
  ])("a rule for other devices is none of ours (%s)", (text) => {
    const root = hostWith("systemd-udevd", {
      ...installed,
      "/etc/udev/rules.d/99-zzz.rules": text,
    });
    expect(checkUdev(sceneOf(root)).severity).toBe("ok");
  });
});

describe("the console", () => {
  const files = (level: number, consoles: string) => ({
    "/proc/sys/kernel/printk": `${level}\t4\t1\t7\n`,
    "/proc/consoles": consoles,
  });
  const severityOf = (level: number, consoles = "ttyS0 -W- (EC p a) 4:64\n") =>
    checkConsole(sceneOf(hostWith("init", files(level, consoles))));

  it("that prints what the bridge says of its ports is a warning", () => {
    expect(severityOf(7)).toMatchObject({
      severity: "warning",
      found: "level 7, consoles: ttyS0",
      mend: ["sysctl -w kernel.printk='4 4 1 7'"],
    });
  });

  it("that does not, or that is not there, is none", () => {
    expect(severityOf(6).severity).toBe("ok");
    expect(severityOf(7, "").severity).toBe("ok");
  });
});
