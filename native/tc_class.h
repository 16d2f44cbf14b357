// HTB classes (RTM_NEWTCLASS, RTM_DELTCLASS).
#ifndef FORKNET_TC_CLASS_H_
#define FORKNET_TC_CLASS_H_

#include <cstdint>

#include "netlink/message.h"
#include "psched.h"
#include "tc_verb.h"

namespace forknet {

/** Rates in bytes per second, not 0. The quantum is always sent: the kernel's own guess warns. */
struct ClassHtb {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint32_t handle = 0;
  uint64_t rate = 0;
  uint64_t ceil = 0;
  uint32_t burst_bytes = 0;
  uint32_t cburst_bytes = 0;
  uint32_t quantum_bytes = 0;
};

struct ClassDelete {
  int32_t ifindex = 0;
  uint32_t handle = 0;
};

void Encode(const ClassHtb& request, const Psched& psched, MessageBuilder* out);
void Encode(const ClassDelete& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_TC_CLASS_H_
