// Shell patterns, as udev, systemd-networkd and NetworkManager match link names with.

/** fnmatch(3) for names: `*`, `?` and `[...]`. */
export function globMatches(pattern: string, name: string): boolean {
  const source = pattern.replace(/\[!?[^\]]+\]|[\s\S]/g, (part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length > 1) return part.replace("[!", "[^").replaceAll("\\", "\\\\");
    return part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${source}$`).test(name);
}
