// Name and ifindex of a link by ioctl, which waits for nobody: unlike RTM_GETLINK it takes no RTNL.
#ifndef FORKNET_LINK_LOOKUP_H_
#define FORKNET_LINK_LOOKUP_H_

#include <cstdint>
#include <string>

namespace forknet {

/** The link of this name in the calling thread's namespace. Throws KernelError, ENODEV for none. */
int32_t IfindexOf(const std::string& name);

/** True while a link has this ifindex. Throws KernelError for anything but ENODEV. */
bool LinkExists(int32_t ifindex);

}  // namespace forknet

#endif  // FORKNET_LINK_LOOKUP_H_
