// Qdiscs, classes and filters as the kernel lists them. Parsers work on bare bytes and are safe on
// any.
#ifndef FORKNET_DUMP_TC_H_
#define FORKNET_DUMP_TC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "bytes.h"
#include "netlink/message.h"
#include "psched.h"

namespace forknet {

struct TcStats {
  uint64_t bytes = 0;
  uint64_t packets = 0;
  uint32_t drops = 0;
  uint32_t overlimits = 0;
  uint32_t backlog_bytes = 0;
  uint32_t queue_length = 0;
};

struct TbfInfo {
  uint64_t rate = 0;
  uint64_t burst_bytes = 0;
  uint32_t limit_bytes = 0;
};

struct HtbInfo {
  uint32_t default_minor = 0;
  uint32_t direct_packets = 0;
};

struct BfifoInfo {
  uint32_t limit_bytes = 0;
};

struct QdiscInfo {
  int32_t ifindex = 0;
  std::string kind;
  uint32_t handle = 0;
  uint32_t parent = 0;
  TcStats stats;
  std::optional<TbfInfo> tbf;
  std::optional<HtbInfo> htb;
  std::optional<BfifoInfo> bfifo;
};

/** Rates and buckets are 0 for a class that is not HTB's. */
struct ClassInfo {
  int32_t ifindex = 0;
  std::string kind;
  uint32_t handle = 0;
  uint32_t parent = 0;
  uint32_t leaf = 0;
  uint64_t rate = 0;
  uint64_t ceil = 0;
  uint64_t burst_bytes = 0;
  uint64_t cburst_bytes = 0;
  uint32_t quantum_bytes = 0;
  TcStats stats;
};

struct BpfFilterInfo {
  std::string name;
  uint32_t program_id = 0;
  std::string tag;
  bool direct_action = false;
  uint32_t classid = 0;
  /** Where mirred sends what matches: 0 when that link is gone, nothing without such an action. */
  std::optional<uint32_t> redirect_ifindex;
};

struct FilterInfo {
  int32_t ifindex = 0;
  std::string kind;
  uint32_t parent = 0;
  uint16_t priority = 0;
  uint16_t protocol = 0;
  uint32_t handle = 0;
  std::optional<BpfFilterInfo> bpf;
};

/** Every link's qdiscs: the kernel has no filter by link here. */
void EncodeQdiscDump(MessageBuilder* out);
void EncodeClassDump(int32_t ifindex, MessageBuilder* out);
void EncodeFilterDump(int32_t ifindex, uint32_t parent, MessageBuilder* out);

/** Parse the payload of RTM_NEWQDISC, RTM_NEWTCLASS, RTM_NEWTFILTER. False when it is too short to
 * be one. */
bool ParseQdisc(Bytes payload, const Psched& psched, QdiscInfo* out);
bool ParseClass(Bytes payload, const Psched& psched, ClassInfo* out);
/** Also false for the entry of a priority as such (handle 0), which is not a filter. */
bool ParseFilter(Bytes payload, FilterInfo* out);

}  // namespace forknet

#endif  // FORKNET_DUMP_TC_H_
