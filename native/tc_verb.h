// How a traffic-control object is written, and the parts that qdiscs and classes have in common.
#ifndef FORKNET_TC_VERB_H_
#define FORKNET_TC_VERB_H_

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <cstdint>

#include "netlink/message.h"

namespace forknet {

/** `tc ... add` (must not exist), `change` (must exist), `replace` (either). */
enum class TcVerb { kAdd, kChange, kReplace };

constexpr uint16_t VerbFlags(TcVerb verb) {
  return verb == TcVerb::kAdd       ? kChangeRequest | NLM_F_CREATE | NLM_F_EXCL
         : verb == TcVerb::kReplace ? kChangeRequest | NLM_F_CREATE | NLM_F_REPLACE
                                    : kChangeRequest;
}

inline tcmsg TcHeader(int32_t ifindex, uint32_t parent, uint32_t handle) {
  tcmsg header{};
  header.tcm_ifindex = ifindex;
  header.tcm_parent = parent;
  header.tcm_handle = handle;
  return header;
}

/** Rates from 2^32 bytes per second on need a 64-bit attribute beside the clamped field. */
constexpr bool Needs64(uint64_t rate) { return rate > 0xffffffffU; }

inline tc_ratespec RateSpec(uint64_t rate) {
  tc_ratespec spec{};
  // ETHERNET makes the kernel compute lengths itself; UNAWARE would demand a rate table
  // (TCA_*_RTAB).
  spec.linklayer = TC_LINKLAYER_ETHERNET;
  spec.rate = Needs64(rate) ? 0xffffffffU : static_cast<uint32_t>(rate);
  return spec;
}

}  // namespace forknet

#endif  // FORKNET_TC_VERB_H_
