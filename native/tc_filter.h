// BPF filters (RTM_NEWTFILTER, RTM_DELTFILTER): direct-action, or with a redirect for what matches.
#ifndef FORKNET_TC_FILTER_H_
#define FORKNET_TC_FILTER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "netlink/message.h"
#include "tc_verb.h"

namespace forknet {

/** CLS_BPF_NAME_LEN without the NUL. */
constexpr size_t kMaxFilterNameBytes = 255;

/** Applies to every protocol (ETH_P_ALL). */
struct FilterBpf {
  TcVerb verb = TcVerb::kAdd;
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint16_t priority = 0;
  uint32_t handle = 0;
  int32_t program_fd = -1;
  std::string name;
  /** Carries the major number that a program's tc_classid, a minor, is joined with. */
  std::optional<uint32_t> classid;
  /** Not direct-action then: whatever the program does not answer with 0 goes out of this link. */
  std::optional<uint32_t> redirect_ifindex;
};

/** Without a handle, every filter of that priority. Priority 0 would be every filter of the parent.
 */
struct FilterDelete {
  int32_t ifindex = 0;
  uint32_t parent = 0;
  uint16_t priority = 0;
  std::optional<uint32_t> handle;
};

void Encode(const FilterBpf& request, MessageBuilder* out);
void Encode(const FilterDelete& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_TC_FILTER_H_
