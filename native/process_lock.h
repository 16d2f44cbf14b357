// Locks that the kernel drops when their holder dies, and that tell who holds them.
#ifndef FORKNET_PROCESS_LOCK_H_
#define FORKNET_PROCESS_LOCK_H_

#include <sys/types.h>

#include <string>

#include "unique_fd.h"

namespace forknet {

/** Either `fd` is valid and the lock is ours, or `holder` has it (0: not visible from here). */
struct Lock {
  UniqueFd fd;
  pid_t holder = 0;
};

/** sun_path less the leading NUL. */
constexpr size_t kMaxAbstractNameBytes = 107;

/**
 * Binds an abstract unix stream socket, 1 to 107 bytes, and listens on it. The name belongs to the
 * network namespace. The lock holds until the descriptor is closed. Throws KernelError.
 */
Lock LockAbstract(const std::string& name);

/**
 * Connects to whoever holds the lock of LockAbstract; nothing is taken when nobody does, and `fd`
 * is not valid then. The descriptor is the caller's, to read what the holder says. Throws
 * KernelError.
 */
Lock VisitAbstract(const std::string& name);

/**
 * Takes an exclusive flock on a file, made with mode 0600 when it is not there, and writes this
 * process's pid into it. The file stays when the lock goes. Throws KernelError.
 */
Lock LockFile(const std::string& path);

}  // namespace forknet

#endif  // FORKNET_PROCESS_LOCK_H_
