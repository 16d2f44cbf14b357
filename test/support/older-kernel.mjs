// The real kernel for the lanes' workers, which says that it is an older one: what forknet does there works on every
// kernel. Loaded by the workers; the test's side is mirrored.test.ts.

import { createKernel as createReal } from "../../dist/kernel/kernel.js";

export function createKernel() {
  return { ...createReal(), release: () => "6.4.16-older" };
}
