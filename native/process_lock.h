// Locks that the kernel drops when their holder dies.
#ifndef FORKNET_PROCESS_LOCK_H_
#define FORKNET_PROCESS_LOCK_H_

#include <optional>
#include <string>

#include "unique_fd.h"
#include "unix_socket.h"

namespace forknet {

/** Either `fd` is valid and the lock is ours, or `holder` has it, if it can be seen from here. */
struct Lock {
  UniqueFd fd;
  std::optional<Peer> holder;
};

/**
 * Listens on an abstract name, which belongs to the network namespace. The lock holds until the
 * descriptor is closed. Throws KernelError.
 */
Lock LockAbstract(const std::string& name);

/** Takes an exclusive flock on an open file: false when somebody has it. Throws KernelError. */
bool LockFile(int fd);

}  // namespace forknet

#endif  // FORKNET_PROCESS_LOCK_H_
