// Whether NetworkManager leaves our links alone: by its own configuration, or by a udev rule that
// says NM_UNMANAGED, as ours does.

import { about, type Finding } from "./finding.js";
import { globMatches } from "./glob.js";
import type { Host, Scene } from "./host.js";
import { installCommand, type OurLink, ourLinks } from "./our-links.js";
import { hasOurRule } from "./udev.js";

const DIRECTORIES = [
  "/etc/NetworkManager/conf.d",
  "/run/NetworkManager/conf.d",
  "/usr/lib/NetworkManager/conf.d",
];
const MAIN_FILE = "/etc/NetworkManager/NetworkManager.conf";
const DROP_IN = "90-forknet.conf";

const { ok, warning } = about(
  "host.network-manager",
  "it makes a connection for every link that appears, and may give it addresses",
);

export function checkNetworkManager(scene: Scene): Finding {
  const { host, bridgeName } = scene;
  if (!host.runs("NetworkManager")) return ok("NetworkManager does not run");
  const specs = unmanagedSpecs(host);
  const managed = ourLinks(scene).filter(
    (link) => !isCovered(specs, link) && !(link.kind !== "bridge" && hasOurRule(host)),
  );
  if (managed.length === 0) return ok("NetworkManager runs, and leaves our links alone");
  return warning(
    `NetworkManager manages ${managed.map(({ name }) => name).join(", ")}`,
    installCommand(
      `NetworkManager/${DROP_IN}`,
      `/etc/NetworkManager/conf.d/${DROP_IN}`,
      bridgeName,
    ),
    "nmcli general reload conf",
  );
}

/** What `unmanaged-devices` adds up to, and the device sections with `managed=0`. */
function unmanagedSpecs(host: Host): string[] {
  const texts = [
    host.read(MAIN_FILE) ?? "",
    ...host.dropIns(DIRECTORIES, ".conf").map(({ text }) => text),
  ];
  let specs: string[] = [];
  const devices: string[] = [];
  for (const section of texts.flatMap((text) => text.split(/^(?=\[)/m))) {
    const isDevice = section.startsWith("[device");
    const value = (key: string) => new RegExp(`^${key}\\s*=\\s*(.*)$`, "m").exec(section)?.[1];
    const isUnmanaged = /^(0|false|no)$/.test(value("managed")?.trim() ?? "");
    if (isDevice && isUnmanaged) devices.push(...split(value("match-device") ?? "*"));
    const own = /^unmanaged-devices\s*(\+?)=\s*(.*)$/m.exec(section);
    if (own) specs = [...(own[1] ? specs : []), ...split(own[2] as string)];
  }
  return [...specs, ...devices];
}

function split(list: string): string[] {
  return list.split(/[;,]/).flatMap((spec) => spec.trim() || []);
}

/** At least one spec names it, and none excepts it. */
function isCovered(specs: readonly string[], link: OurLink): boolean {
  const names = (spec: string) => {
    const [, kind, pattern] = /^(interface-name|driver|type):=?~?(.*)$/.exec(spec) ?? [];
    if (kind === "interface-name") return globMatches(pattern as string, link.name);
    if (kind !== undefined) return globMatches(pattern as string, link.kind);
    return spec === "*";
  };
  const excepted = specs.filter((spec) => spec.startsWith("except:")).map((spec) => spec.slice(7));
  return specs.some(names) && !excepted.some(names);
}
