// Names of error numbers ("EBUSY"), for musl as for glibc: strerrorname_np is glibc's alone.
#ifndef FORKNET_ERRNO_NAME_H_
#define FORKNET_ERRNO_NAME_H_

#include <string>

namespace forknet {

/** "EBUSY" for 16; "E4095" for a number without a name. */
std::string ErrnoName(int error);

}  // namespace forknet

#endif  // FORKNET_ERRNO_NAME_H_
