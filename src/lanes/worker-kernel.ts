// The kernel of a worker thread: made at the first call and kept for the thread's life.

import { createKernel, type Kernel } from "../kernel/kernel.js";

let kernel: Promise<Kernel> | undefined;

/**
 * `module` names a module whose `createKernel` stands in for the real one: the seam for fault
 * injection.
 */
export function workerKernel(module: string | undefined): Promise<Kernel> {
  kernel ??= module === undefined ? real() : replaced(module);
  // A kernel that could not be made (no addon, no socket) is tried again at the next call.
  kernel.catch(() => {
    kernel = undefined;
  });
  return kernel;
}

async function real(): Promise<Kernel> {
  return createKernel();
}

async function replaced(module: string): Promise<Kernel> {
  const { createKernel: create } = (await import(module)) as { createKernel: () => Kernel };
  return create();
}
