// What faults.ts uses of faulty-kernel.mjs, which the workers import as it is.

export declare const SLOT: Record<
  "count" | "first" | "last" | "errno" | "mode" | "permille" | "journalEnd" | "failed",
  number
>;
export declare const MODE: Record<"refuse" | "loseAnswer" | "random", number>;
export declare const CONTROL_WORDS: number;
export declare const TEXT_BYTES: number;
export declare const JOURNAL_BYTES: number;
export declare const ENVIRONMENT_KEY: string;
