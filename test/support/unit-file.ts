// The example of a systemd unit, and as much of its sandbox as can be had without systemd: user,
// capabilities, devices, a read-only system. What it allows of system calls is told, not enforced.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const UNIT = fileURLToPath(
  new URL("../../integration/systemd/forknet-agent.service", import.meta.url),
);

const NOBODY = "65534";

/** What the unit has for a key, its words in order. */
export function unitWords(key: string): string[] {
  const lines = readFileSync(UNIT, "utf8").split("\n");
  const values = lines.flatMap((line) => (line.startsWith(`${key}=`) ? [line] : []));
  return values.flatMap((line) => line.slice(key.length + 1).split(/\s+/));
}

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** What the agent runs from, where ProtectHome= would hide it and a home would not let it in. */
const IN_HOMES = [CHECKOUT, dirname(dirname(process.execPath))].filter((path) =>
  /^\/(root|home)\//.test(path),
);

/** ProtectHome=, the devices that DevicePolicy= and DeviceAllow= leave, a system that is read-only. */
const SANDBOX = `
mount --bind "$1" "$1"
mount -t tmpfs -o mode=755 none /mnt
n=0; for path in $3; do n=$((n + 1)); mkdir /mnt/$n; mount --bind "$path" /mnt/$n; done
mount -t tmpfs -o mode=755 none /root; mount -t tmpfs -o mode=755 none /home
n=0; for path in $3; do n=$((n + 1)); mkdir -p "$path"; mount --bind /mnt/$n "$path"; done
mount -t tmpfs -o mode=755 none /dev
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9
for device in $2; do mkdir -p $(dirname $device); mknod -m 666 $device c 10 200; done
mount -o remount,bind,ro /
shift 3
exec "$@"`;

/** A command that runs the rest of its arguments as the unit would, where `home` is writable. */
export function asUnit(home: string, lacking?: string): string[] {
  const set = (key: string) =>
    [
      "-all",
      ...unitWords(key)
        .filter((name) => name !== lacking)
        .map(toFlag),
    ].join(",");
  const devices = unitWords("DeviceAllow").filter((word) => word.startsWith("/"));
  const words = [home, devices.join(" "), IN_HOMES.join(" ")];
  const sandbox = ["unshare", "--mount", "sh", "-ec", SANDBOX, "sh", ...words];
  const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return [
    ...sandbox,
    ...user,
    "--no-new-privs",
    `--bounding-set=${set("CapabilityBoundingSet")}`,
    `--inh-caps=${set("AmbientCapabilities")}`,
    `--ambient-caps=${set("AmbientCapabilities")}`,
  ];
}

/** "+net_admin" for CAP_NET_ADMIN. */
function toFlag(capability: string): string {
  return capability.toLowerCase().replace("cap_", "+");
}

/** The system calls that SystemCallFilter= allows, its groups resolved. */
export function allowedCalls(): Set<string> {
  const text = execFileSync("systemd-analyze", ["syscall-filter", "--no-pager"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const groups = new Map<string, string[]>();
  // "@group" at the start of a line, then its calls and groups, indented.
  for (const part of text.split(/^(?=@)/m)) {
    const [name, ...members] = part.split("\n").map((line) => line.trim());
    groups.set(
      name as string,
      members.filter((line) => /^[@\w]/.test(line)),
    );
  }
  const resolve = (name: string): string[] =>
    name.startsWith("@") ? (groups.get(name) ?? []).flatMap(resolve) : [name];
  return new Set(unitWords("SystemCallFilter").flatMap(resolve));
}
