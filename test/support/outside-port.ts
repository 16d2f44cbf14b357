// A port of the bridge that is nobody's guest, as an uplink is: it hears whatever the bridge
// floods.

import { onTestFinished } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import { deleteLink, indexOf, tellKernel } from "./kernel-view.js";
import { RawTap } from "./raw-tap.js";

/**
 * Makes a TAP with the kernel's default port flags and opens it; gone when the test has finished.
 */
export function openOutsidePort(bridge: string, name = "outside0", mtu = 1500): RawTap {
  const addon = loadAddon();
  const { fd, ifindex } = addon.openTap({ name, vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  onTestFinished(() => deleteLink(name));
  tellKernel(
    // One with less would lower the bridge.
    { op: "link.set", ifindex, mtu },
    { op: "link.set", ifindex, master: indexOf(bridge), addressGeneration: "none" },
    { op: "link.set", ifindex, up: true },
  );
  const port = new RawTap({ tap: name });
  onTestFinished(() => port.close());
  return port;
}
