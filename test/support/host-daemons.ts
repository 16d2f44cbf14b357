// Daemons of a host that react to links, in the network namespace of the test, with files of their
// own below /run and /etc: nothing of the machine's configuration is read or written.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const INTEGRATION = fileURLToPath(new URL("../../integration", import.meta.url));

/** What the catch-all file of startNetworkd gives to every link. */
export const CATCH_ALL_ADDRESS = "192.0.2.9";

// With a read-only /sys it does not wait for a udev to tell it of a link.
const NETWORKD = `
mount -t sysfs -o ro none /sys
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /etc/systemd/network
install -d -o systemd-network -g systemd-network /run/systemd/netif /run/systemd/netif/links \
  /run/systemd/netif/leases /run/systemd/netif/lldp
printf '[Match]\nName=!lo\n[Network]\nAddress=${CATCH_ALL_ADDRESS}/24\nConfigureWithoutCarrier=yes\n' \
  > /etc/systemd/network/20-all.network
[ -z "$1" ] || install -m 644 "$1" /etc/systemd/network
exec /lib/systemd/systemd-networkd`;

/** systemd-networkd that is told to configure every link, with or without our drop-in. */
export function startNetworkd({ dropIn }: { dropIn: boolean }): void {
  const file = dropIn ? `${INTEGRATION}/systemd-networkd/05-forknet.network` : "";
  const child = spawn("unshare", ["--mount", "sh", "-ec", NETWORKD, "sh", file], {
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
  });
}

const NETWORK_MANAGER = `
mount -t sysfs -o ro none /sys
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/lib/NetworkManager
mount -t tmpfs -o mode=755 none /etc/NetworkManager
mkdir -p /run/dbus /etc/NetworkManager/conf.d
echo '[main]' > /etc/NetworkManager/NetworkManager.conf
[ -z "$1" ] || install -m 644 "$1" /etc/NetworkManager/conf.d
dbus-daemon --system --fork --nopidfile --nosyslog
exec NetworkManager --no-daemon`;

/**
 * NetworkManager with a message bus of its own. The answer asks it for the state of each link:
 * "unmanaged", "connected (externally)".
 */
export function startNetworkManager({ dropIn }: { dropIn: boolean }): () => Map<string, string> {
  const file = dropIn ? `${INTEGRATION}/NetworkManager/90-forknet.conf` : "";
  // The bus ends with the process namespace.
  const own = ["--mount", "--pid", "--mount-proc", "--fork", "--kill-child"];
  const child = spawn("unshare", [...own, "sh", "-ec", NETWORK_MANAGER, "sh", file], {
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const nmcli = ["nmcli", "-t", "-f", "DEVICE,STATE", "device"];
  return () => {
    const { stdout } = spawnSync("nsenter", [`--mount=/proc/${child.pid}/ns/mnt`, ...nmcli], {
      encoding: "utf8",
    });
    const lines = stdout.split("\n").map((line) => line.split(":") as [string, string]);
    return new Map(lines);
  };
}

const UDEV = `
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t tmpfs none /etc/udev/rules.d
mount -t tmpfs none /etc/systemd/network
cp ${INTEGRATION}/udev/*.rules /etc/udev/rules.d
cp ${INTEGRATION}/udev/*.link /etc/systemd/network
udevadm test /sys/class/net/$1`;

/** What udev makes of a link with our files installed: its properties, and what it would run. */
export function udevOf(link: string): { properties: Record<string, string>; runs: string[] } {
  const output = execFileSync("unshare", ["--mount", "sh", "-ec", UDEV, "sh", link], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = output.split("\n");
  const properties = lines.flatMap((line) => {
    const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value]];
  });
  const runs = lines.flatMap((line) => /^run: '(.*)'$/.exec(line)?.[1] ?? []);
  return { properties: Object.fromEntries(properties) as Record<string, string>, runs };
}
