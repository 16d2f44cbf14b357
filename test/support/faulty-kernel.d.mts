// What tests use of faulty-kernel.mjs, which the workers import as it is.

import type { Kernel } from "../../src/kernel/kernel.js";

export declare function createKernel(): Kernel;
export declare const SLOT: Record<
  "count" | "first" | "last" | "errno" | "mode" | "permille" | "journalEnd" | "failed",
  number
>;
export declare const MODE: Record<"refuse" | "loseAnswer" | "random" | "vanish", number>;
export declare const CONTROL_WORDS: number;
export declare const TEXT_BYTES: number;
export declare const JOURNAL_BYTES: number;
export declare const ENVIRONMENT_KEY: string;
