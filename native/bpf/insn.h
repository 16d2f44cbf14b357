// A compiled BPF program as it is checked in: its instructions, which of them want the address of
// which map, and which want a number of the running kernel's types.
#ifndef FORKNET_BPF_INSN_H_
#define FORKNET_BPF_INSN_H_

#include <linux/bpf.h>

#include <cstddef>

namespace forknet {

struct MapLoad {
  size_t instruction;
  const char* map;
};

/** `name` and `member` as the kernel's sources have them. */
struct KernelWant {
  size_t instruction;
  enum Kind {
    kFunction,    // a kfunc to call
    kMember,      // where `member` of the struct `name` begins, in bits
    kType,        // the id of the struct `name`
    kEnumerator,  // the value of `name`
  } kind;
  const char* name;
  const char* member;
};

struct ProgramImage {
  const char* name;
  const bpf_insn* instructions;
  size_t instruction_count;
  const MapLoad* map_loads;
  size_t map_load_count;
  const KernelWant* wants;
  size_t want_count;
};

}  // namespace forknet

#endif  // FORKNET_BPF_INSN_H_
