// One line on stderr that says what a slow part is doing; on a terminal it is overwritten,
// elsewhere it stays.

export class Progress {
  readonly #silent: boolean;
  readonly #isTerminal = process.stderr.isTTY === true;

  constructor(silent: boolean) {
    this.#silent = silent;
  }

  /** Shows what runs now. */
  tell(text: string): void {
    if (this.#silent) return;
    process.stderr.write(this.#isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
  }

  /** Takes the line away before other output. */
  clear(): void {
    if (!this.#silent && this.#isTerminal) process.stderr.write("\r\x1b[K");
  }
}
