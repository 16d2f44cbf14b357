// socket(2), bind(2) and connect(2) for AF_UNIX.
#include "unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

class Address {
 public:
  static Address Abstract(const std::string& name) { return Address(name, 1); }
  static Address Path(const std::string& path) { return Address(path, 0); }

  void Bind(int fd) const {
    if (bind(fd, get(), size_)) throw KernelError(errno, "bind", name_);
  }

  void Connect(int fd) const {
    if (connect(fd, get(), size_)) throw KernelError(errno, "connect", name_);
  }

 private:
  /** An abstract name begins with a NUL, a path ends with one. */
  Address(const std::string& name, size_t at)
      : name_(name),
        size_(static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) {
    if (name.empty() || name.size() > kMaxSocketNameBytes) {
      throw KernelError(ENAMETOOLONG, "bind", name);
    }
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path + at, name.data(), name.size());
  }

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }

  std::string name_;
  sockaddr_un address_{};
  socklen_t size_;
};

UniqueFd Socket(int flags) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd.valid()) throw KernelError(errno, "socket");
  return fd;
}

UniqueFd Listen(UniqueFd fd, const Address& address) {
  address.Bind(fd.get());
  if (listen(fd.get(), SOMAXCONN)) throw KernelError(errno, "listen");
  return fd;
}

Connection Connect(const Address& address) {
  Connection connection;
  connection.fd = Socket(SOCK_NONBLOCK);
  address.Connect(connection.fd.get());
  connection.peer = PeerOf(connection.fd.get());
  return connection;
}

}  // namespace

UniqueFd ListenAbstract(const std::string& name) {
  return Listen(Socket(0), Address::Abstract(name));
}

UniqueFd ListenPath(const std::string& path) {
  UniqueFd fd = Socket(0);
  // The file gets the mode that the socket has when it is bound: net/unix/af_unix.c, unix_bind_bsd.
  if (fchmod(fd.get(), S_IRUSR | S_IWUSR)) throw KernelError(errno, "fchmod", path);
  return Listen(std::move(fd), Address::Path(path));
}

Connection ConnectAbstract(const std::string& name) { return Connect(Address::Abstract(name)); }

Connection ConnectPath(const std::string& path) { return Connect(Address::Path(path)); }

Peer PeerOf(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size)) {
    throw KernelError(errno, "SO_PEERCRED");
  }
  return {credentials.pid, credentials.uid};
}

}  // namespace forknet
