// Whether udev leaves our links alone: rules that name or start something for each of them, and the
// .link file that may give them another MAC address.

import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import { globMatches } from "./glob.js";
import type { Host, Scene } from "./host.js";
import { installCommand, ourLinks } from "./our-links.js";
import { fileFor } from "./systemd-file.js";

const DIRECTORIES = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d"];
/** Comes after 99-systemd.rules, to take back what that gives. */
const RULE = "99-zz-forknet.rules";
const LINK_FILE = "10-forknet.link";

const { ok, warning } = about(
  "host.udev",
  "a worker, a process and a device unit for each TAP, and link settings that change under us",
);

export function checkUdev(scene: Scene): Finding {
  const { host, bridgeName } = scene;
  if (!host.runs("systemd-udevd")) return ok("udev does not run");
  const found: string[] = [];
  const mend: string[] = [];
  const hasRule = hasOurRule(host);
  if (!hasRule) {
    found.push(`${RULE} is not installed`);
    mend.push(installCommand(`udev/${RULE}`, `/etc/udev/rules.d/${RULE}`, bridgeName));
  }
  for (const { path, line } of touchingRules(host, hasRule)) {
    found.push(`${path}:${line} applies to our TAPs`);
    mend.push(`sed -i '${line}s/^/KERNEL!="fk*", /' ${quoted(path)}`);
  }
  const policies = macPolicies(scene);
  if (policies.length > 0) {
    found.push(...policies);
    mend.push(installCommand(`udev/${LINK_FILE}`, `/etc/systemd/network/${LINK_FILE}`, bridgeName));
  }
  if (found.length === 0) return ok("udev runs, and leaves our links alone");
  return warning(found.join("; "), ...mend, "udevadm control --reload");
}

/** It also tells NetworkManager to leave our links alone. */
export function hasOurRule(host: Host): boolean {
  return host.dropIns(DIRECTORIES, RULE).length > 0;
}

/** What gives our TAPs or the shaper another MAC address. */
function macPolicies(scene: Scene): string[] {
  const files = ourLinks(scene)
    .filter(({ kind }) => kind !== "bridge")
    .map((link) => fileFor(scene.host, ".link", link));
  const paths = files.flatMap((file) => {
    const policy = file?.link.get("MACAddressPolicy") ?? "none";
    return file && policy !== "none" ? [`${file.path} sets MACAddressPolicy=${policy}`] : [];
  });
  return [...new Set(paths)];
}

/**
 * Lines that apply to any TAP named fk... and rename it or run something. What our own rule takes
 * back does not count: RUN of the files before it.
 */
function touchingRules(host: Host, hasRule: boolean): { path: string; line: number }[] {
  const files = host.dropIns(DIRECTORIES, ".rules").filter(({ path }) => !path.endsWith(RULE));
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((rule, index) => {
      const isEarlier = (path.split("/").at(-1) as string) < RULE;
      // Without our rule the remedy is our rule.
      const isUndone = /\bRUN/.test(rule) && isEarlier;
      return touches(rule) && !isUndone && (hasRule || !isEarlier || /\bNAME/.test(rule))
        ? [{ path, line: index + 1 }]
        : [];
    }),
  );
}

/** Conditions on anything but the subsystem, the action and the name are about other devices. */
function touches(rule: string): boolean {
  if (rule.trimStart().startsWith("#")) return false;
  const keys = [...rule.matchAll(/([A-Z_]+(?:\{[^}]*\})?)\s*(==|!=|:=|\+=|-=|=)\s*"([^"]*)"/g)];
  const acts = keys.some(
    ([, key, operator]) => /^(NAME|RUN)/.test(key as string) && !isTest(operator),
  );
  const tests = keys.filter(([, , operator]) => isTest(operator));
  const isNet = tests.some(([, key, , value]) => key === "SUBSYSTEM" && value === "net");
  return (
    acts &&
    isNet &&
    tests.every(([, key, operator, value]) => {
      if (key === "SUBSYSTEM" || key === "ACTION") return operator === "==";
      if (key !== "KERNEL") return false;
      const isMatch = (value as string).split("|").some((glob) => globMatches(glob, "fk0a640002"));
      return isMatch === (operator === "==");
    })
  );
}

function isTest(operator: string | undefined): boolean {
  return operator === "==" || operator === "!=";
}
