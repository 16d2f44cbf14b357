// The BPF programs that are built in (native/bpf/guard.bpf.c).

/** What "_kfunc" guards see for themselves, the others ask helpers for: native/bpf/pending.bpf.h. */
export type ProgramName =
  | "guard"
  | "guard_kfunc"
  | "guard_translate"
  | "guard_translate_kfunc"
  | "gate"
  | "gate_translate"
  | "classify";
