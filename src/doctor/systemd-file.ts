// The .network and .link files of systemd: which of them is the one for a link of ours, and what it
// says. The first file that matches decides, and the rest is not read.

import { globMatches } from "./glob.js";
import type { Host } from "./host.js";
import type { OurLink } from "./our-links.js";

/** As systemd.network(5) and systemd.link(5) have it: the first has precedence. */
const DIRECTORIES = [
  "/etc/systemd/network",
  "/run/systemd/network",
  "/usr/local/lib/systemd/network",
  "/usr/lib/systemd/network",
];

export interface SystemdFile {
  path: string;
  match: ReadonlyMap<string, string>;
  /** The section [Link]. */
  link: ReadonlyMap<string, string>;
}

/** The file that is in force for the link, if any. */
export function fileFor(
  host: Host,
  ending: ".network" | ".link",
  link: OurLink,
): SystemdFile | undefined {
  return host
    .dropIns(DIRECTORIES, ending)
    .map(parse)
    .find(({ match }) => matches(match, link));
}

function parse({ path, text }: { path: string; text: string }): SystemdFile {
  const sections: Record<string, Map<string, string>> = { Match: new Map(), Link: new Map() };
  let section: Map<string, string> | undefined;
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    const [, header] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (header) section = sections[header];
    const [, key, value] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined)
      section?.set(key, `${section.get(key) ?? ""} ${value}`.trim());
  }
  return { path, match: sections.Match as Map<string, string>, link: sections.Link as never };
}

/** What is about the host and not the link is taken as true. */
function matches(match: ReadonlyMap<string, string>, { name, kind }: OurLink): boolean {
  if (match.size === 0) return false;
  return [...match].every(([key, patterns]) => {
    switch (key) {
      case "Name":
      case "OriginalName":
        return matchesList(patterns, name);
      case "Kind":
      case "Driver":
        return matchesList(patterns, kind);
      case "Type":
        return matchesList(patterns, kind === "bridge" ? "bridge" : "ether");
      default:
        return /^(Host|Virtualization|Kernel|Architecture|Firmware|Credential)/.test(key);
    }
  });
}

/** Patterns between spaces; a leading "!" turns the whole list round. */
function matchesList(patterns: string, value: string): boolean {
  const isInverted = patterns.startsWith("!");
  const list = patterns.slice(isInverted ? 1 : 0).split(/\s+/);
  return list.some((pattern) => globMatches(pattern, value)) !== isInverted;
}
