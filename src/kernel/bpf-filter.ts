// What a listing of filters tells of one that runs a BPF program.

import type { TcHandle } from "./messages.js";

export interface BpfFilter {
  name: string;
  programId: number;
  /** 16 lower-case hex digits. */
  tag: string;
  directAction: boolean;
  classid: TcHandle;
  /** Where its mirred sends what matches; 0 when that link is gone. */
  redirectTo?: number;
}
