// A compiled BPF program as it is checked in: its instructions, and which of them want the address
// of which map.
#ifndef FORKNET_BPF_INSN_H_
#define FORKNET_BPF_INSN_H_

#include <linux/bpf.h>

#include <cstddef>

namespace forknet {

struct MapLoad {
  size_t instruction;
  const char* map;
};

struct ProgramImage {
  const char* name;
  const bpf_insn* instructions;
  size_t instruction_count;
  const MapLoad* map_loads;
  size_t map_load_count;
};

}  // namespace forknet

#endif  // FORKNET_BPF_INSN_H_
