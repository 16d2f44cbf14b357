// TAP devices through /dev/net/tun: the kernel offers no other way to make one.
#ifndef FORKNET_TAP_H_
#define FORKNET_TAP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "link_lookup.h"
#include "unique_fd.h"

namespace forknet {

struct TapOptions {
  std::string name;
  std::optional<uint32_t> owner;
  std::optional<uint32_t> group;
  bool vnet_hdr = false;
  bool multi_queue = false;
  bool offload = false;
  bool exclusive = false;
  bool non_blocking = false;
};

struct Tap {
  UniqueFd fd;
  int32_t ifindex = 0;
  std::string name;
};

/**
 * Makes the TAP, or attaches to it when it exists. A new one goes with its descriptor until
 * SetTapPersistent. Throws KernelError, the syscall being the ioctl's name; then nothing stays.
 */
Tap OpenTap(const TapOptions& options, const LookupSocket& lookup);

/** TUNSETPERSIST. */
void SetTapPersistent(int fd, bool persistent);

/** TUNSETOWNER: from now on the TAP opens for this uid only. The kernel takes no owner away. */
void SetTapOwner(int fd, uint32_t uid);

/** TUNSETGROUP: the same for a gid. Where both are set a process needs both. */
void SetTapGroup(int fd, uint32_t gid);

}  // namespace forknet

#endif  // FORKNET_TAP_H_
