// A generation of nftables' rules, which every transaction makes: who made it. The parser works on
// bare bytes and is safe on any.
#ifndef FORKNET_GENERATION_H_
#define FORKNET_GENERATION_H_

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>
#include <string>

#include "bytes.h"

namespace forknet {

/** nlmsg_type of what tells a new generation (NFT_MSG_NEWGEN). */
constexpr uint16_t kNewGeneration = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN;

struct Generation {
  uint32_t id = 0;
  /** As the first pid namespace numbers it. */
  uint32_t pid = 0;
  /** At most 15 bytes, the process's own choice. */
  std::string process;
};

/** Of the payload of such a message. False when it is too short or has no id. */
bool ParseGeneration(Bytes payload, Generation* out);

}  // namespace forknet

#endif  // FORKNET_GENERATION_H_
