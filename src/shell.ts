// Words of a command that an operator copies into a shell: a link may be called "a;reboot".

/** The word as it is when a shell takes nothing in it for its own, else in single quotes. */
export function quoted(word: string): string {
  return /^[\w.,:@%/+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
