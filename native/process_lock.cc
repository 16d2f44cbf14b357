// The two locks: an abstract unix socket and a flock.
#include "process_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

/** The peer that listens, or 0: it is in another pid namespace, or just went away. */
pid_t Listener(const sockaddr_un& address, socklen_t size) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return 0;
  // Nobody accepts; the connection waits in the backlog until the holder's socket is closed.
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size)) return 0;
  ucred peer{};
  socklen_t peer_size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &peer_size)) return 0;
  return peer.pid;
}

/** The pid written in the file, or 0. */
pid_t WrittenPid(int fd) {
  char text[32];
  const ssize_t size = pread(fd, text, sizeof text - 1, 0);
  if (size <= 0) return 0;
  text[size] = '\0';
  const long pid = std::strtol(text, nullptr, 10);
  return pid > 0 && pid <= 0x7fffffff ? static_cast<pid_t>(pid) : 0;
}

}  // namespace

Lock LockAbstract(const std::string& name) {
  if (name.empty() || name.size() > kMaxAbstractNameBytes) throw KernelError(EINVAL, "bind", name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  Lock lock;
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw KernelError(errno, "socket", name);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size)) {
    if (errno != EADDRINUSE) throw KernelError(errno, "bind", name);
    lock.holder = Listener(address, size);
    return lock;
  }
  // The backlog is how many times others may ask for the holder's pid.
  if (listen(fd.get(), SOMAXCONN)) throw KernelError(errno, "listen", name);
  lock.fd = std::move(fd);
  return lock;
}

Lock LockFile(const std::string& path) {
  Lock lock;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!fd.valid()) throw KernelError(errno, "open", path);
  int refused;
  do {
    refused = flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (refused && errno == EINTR);
  if (refused) {
    if (errno != EWOULDBLOCK) throw KernelError(errno, "flock", path);
    lock.holder = WrittenPid(fd.get());
    return lock;
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd.get(), 0)) throw KernelError(errno, "ftruncate", path);
  const ssize_t written = pwrite(fd.get(), pid.data(), pid.size(), 0);
  if (written < 0) throw KernelError(errno, "pwrite", path);
  lock.fd = std::move(fd);
  return lock;
}

}  // namespace forknet
