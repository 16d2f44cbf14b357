// Whether systemd-networkd leaves our links alone. It configures a link by the first .network file
// that matches, and no link that none matches.

import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";
import { installCommand, ourLinks } from "./our-links.js";
import { fileFor } from "./systemd-file.js";

/** Sorts before the usual 10-, 20- and 50-. */
const DROP_IN = "05-forknet.network";
const INSTALLED = `/etc/systemd/network/${DROP_IN}`;

const { ok, problem } = about(
  "host.systemd-networkd",
  "it takes addresses, routes and the bridge off a link that one of its files matches",
);

export function checkNetworkd(scene: Scene): Finding {
  const { host, bridgeName } = scene;
  if (!host.runs("systemd-networkd")) return ok("systemd-networkd does not run");
  const taken = ourLinks(scene).flatMap(({ name, kind }) => {
    const file = fileFor(host, ".network", { name, kind });
    const isUnmanaged = /^(yes|true|1|on)$/i.test(file?.link.get("Unmanaged") ?? "no");
    return file && !isUnmanaged ? [{ name, path: file.path }] : [];
  });
  if (taken.length === 0) return ok("systemd-networkd runs, and leaves our links alone");
  const isInstalled = host.read(INSTALLED)?.includes(bridgeName);
  return problem(
    taken.map(({ name, path }) => `${path} matches ${name}`).join(", "),
    isInstalled
      ? `mv ${INSTALLED} /etc/systemd/network/00-${DROP_IN}   # it came too late: the first match decides`
      : installCommand(`systemd-networkd/${DROP_IN}`, INSTALLED, bridgeName),
    "networkctl reload",
  );
}
