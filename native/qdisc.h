// Queueing disciplines: TBF, HTB, clsact, bfifo, fq_codel and blackhole (RTM_NEWQDISC,
// RTM_DELQDISC).
#ifndef FORKNET_QDISC_H_
#define FORKNET_QDISC_H_

#include <cstdint>
#include <optional>

#include "netlink/message.h"
#include "psched.h"
#include "tc_verb.h"

namespace forknet {

/** Rate in bytes per second, not 0. Without a parent it is the link's root qdisc. */
struct QdiscTbf {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t handle = 0;
  std::optional<uint32_t> parent;
  uint64_t rate = 0;
  uint32_t burst_bytes = 0;
  uint32_t limit_bytes = 0;
};

struct QdiscHtb {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t handle = 0;
  uint32_t default_minor = 0;
};

struct QdiscClsact {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
};

struct QdiscBfifo {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint32_t handle = 0;
  uint32_t limit_bytes = 0;
};

struct QdiscFqCodel {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint32_t handle = 0;
  uint32_t memory_limit_bytes = 0;
};

struct QdiscBlackhole {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint32_t handle = 0;
};

struct QdiscDelete {
  int32_t ifindex = 0;
  uint32_t parent = 0;
  std::optional<uint32_t> handle;
};

void Encode(const QdiscTbf& request, const Psched& psched, MessageBuilder* out);
void Encode(const QdiscHtb& request, MessageBuilder* out);
void Encode(const QdiscClsact& request, MessageBuilder* out);
void Encode(const QdiscBfifo& request, MessageBuilder* out);
void Encode(const QdiscFqCodel& request, MessageBuilder* out);
void Encode(const QdiscBlackhole& request, MessageBuilder* out);
void Encode(const QdiscDelete& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_QDISC_H_
