// The two locks: an abstract unix socket and a flock.
#include "process_lock.h"

#include <sys/file.h>

#include <cerrno>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

/** Nothing when it does not listen, is too busy, or just went away. */
std::optional<Peer> Listener(const std::string& name) {
  try {
    return ConnectAbstract(name).peer;
  } catch (const KernelError&) {
    return std::nullopt;
  }
}

}  // namespace

Lock LockAbstract(const std::string& name) {
  Lock lock;
  try {
    lock.fd = ListenAbstract(name);
  } catch (const KernelError& error) {
    if (error.error() != EADDRINUSE) throw;
    lock.holder = Listener(name);
  }
  return lock;
}

bool LockFile(int fd) {
  int refused;
  do {
    refused = flock(fd, LOCK_EX | LOCK_NB);
  } while (refused && errno == EINTR);
  if (refused && errno != EWOULDBLOCK) throw KernelError(errno, "flock");
  return !refused;
}

}  // namespace forknet
