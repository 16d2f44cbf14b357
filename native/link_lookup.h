// Name and ifindex of a link by ioctl, which waits for nobody: unlike RTM_GETLINK it takes no RTNL.
#ifndef FORKNET_LINK_LOOKUP_H_
#define FORKNET_LINK_LOOKUP_H_

#include <cstdint>
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

  /** True while a link has this ifindex. Throws KernelError for anything but ENODEV. */
  bool LinkExists(int32_t ifindex) const;

 private:
  UniqueFd fd_;
};

}  // namespace forknet

#endif  // FORKNET_LINK_LOOKUP_H_
