// Name, ifindex and flags of a link by ioctl, which waits for nobody: unlike RTM_GETLINK it takes
// no RTNL.
#ifndef FORKNET_LINK_LOOKUP_H_
#define FORKNET_LINK_LOOKUP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "unique_fd.h"

namespace forknet {

/** A socket to ask about the links of the namespace it was made in. */
class LookupSocket {
 public:
  /** In the calling thread's namespace. A refusal shows at the first look-up. */
  LookupSocket() { Renew(); }

  /** Moves to the namespace the calling thread is in now. */
  void Renew();

  /** The link of this name. Throws KernelError, ENODEV for none. */
  int32_t IfindexOf(const std::string& name) const;

  /**
   * IFF_UP and its like of the link with this ifindex; nothing when there is none. Throws
   * KernelError for anything but ENODEV.
   */
  std::optional<uint16_t> FlagsOf(int32_t ifindex) const;

 private:
  UniqueFd fd_;
};

}  // namespace forknet

#endif  // FORKNET_LINK_LOOKUP_H_
