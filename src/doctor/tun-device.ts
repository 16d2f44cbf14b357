// Whether /dev/net/tun is there and opens. Opening makes nothing: a TAP needs an ioctl more.

import { closeSync, openSync } from "node:fs";
import { about, type Finding } from "./finding.js";
import type { Host } from "./host.js";

const { ok, problem } = about("device.tun", "every TAP is made through it");

export function checkTunDevice(host: Host): Finding[] {
  try {
    closeSync(openSync(host.path("/dev/net/tun"), "r+"));
    return [ok("/dev/net/tun opens")];
  } catch (error) {
    return [refused((error as NodeJS.ErrnoException).code ?? String(error))];
  }
}

function refused(code: string): Finding {
  switch (code) {
    case "ENOENT":
      return problem(
        "/dev/net/tun is missing",
        "modprobe tun",
        "mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200",
      );
    case "ENODEV":
    case "ENXIO":
      return problem("/dev/net/tun is there and the kernel has no driver for it", "modprobe tun");
    default:
      return problem(
        `/dev/net/tun does not open: ${code}`,
        "give the process the device: DeviceAllow=/dev/net/tun rw in its unit, --device /dev/net/tun for its container, or chmod 0666 /dev/net/tun",
      );
  }
}
