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

struct AbstractAddress {
  sockaddr_un address{};
  socklen_t size;

  explicit AbstractAddress(const std::string& name)
      : size(static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) {
    if (name.empty() || name.size() > kMaxAbstractNameBytes) {
      throw KernelError(EINVAL, "bind", name);
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
  }

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

/** Waits for nobody: a connection is there when the holder's backlog has it. 0, or the errno. */
int Connect(const AbstractAddress& to, Lock& visit) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid() || connect(fd.get(), to.get(), to.size)) return errno;
  ucred peer{};
  socklen_t peer_size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &peer_size)) return errno;
  visit.holder = peer.pid;
  visit.fd = std::move(fd);
  return 0;
}

/** The peer that listens, or 0: it is in another pid namespace, or just went away. */
pid_t Listener(const AbstractAddress& address) {
  Lock visit;
  return Connect(address, visit) ? 0 : visit.holder;
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
  const AbstractAddress address(name);
  Lock lock;
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw KernelError(errno, "socket", name);
  if (bind(fd.get(), address.get(), address.size)) {
    if (errno != EADDRINUSE) throw KernelError(errno, "bind", name);
    lock.holder = Listener(address);
    return lock;
  }
  // The backlog is how many times others may ask for the holder's pid.
  if (listen(fd.get(), SOMAXCONN)) throw KernelError(errno, "listen", name);
  lock.fd = std::move(fd);
  return lock;
}

Lock VisitAbstract(const std::string& name) {
  Lock visit;
  const int error = Connect(AbstractAddress(name), visit);
  if (error && error != ECONNREFUSED) throw KernelError(error, "connect", name);
  return visit;
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
