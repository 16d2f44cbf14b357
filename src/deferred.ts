// A promise that is settled from outside, and that nobody has to watch.

export class Deferred {
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (error: Error) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // An unwatched rejection must not end the process; who awaits the promise still gets it.
    this.promise.catch(() => {});
  }
}
