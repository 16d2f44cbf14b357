// Joining multicast groups of netlink, and receiving what they tell.
#include "netlink/listener.h"

#include <sys/socket.h>

#include <cerrno>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

constexpr size_t kReceiveBytes = 65536;

}  // namespace

Listener::Listener(Protocol protocol)
    : protocol_(protocol),
      fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol.number)),
      buffer_(kReceiveBytes) {
  if (!fd_.valid()) throw KernelError(errno, "socket", protocol_.name);
}

void Listener::Option(int option, const char* name, const void* value, unsigned size) {
  if (setsockopt(fd_.get(), SOL_SOCKET, option, value, size)) {
    throw KernelError(errno, "setsockopt", name);
  }
}

void Listener::SetBufferBytes(int bytes) {
  if (!setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes)) return;
  Option(SO_RCVBUF, "SO_RCVBUF", &bytes, sizeof bytes);
}

void Listener::SetFilter(SocketFilter filter) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.size());
  program.filter = filter.data();
  Option(SO_ATTACH_FILTER, "SO_ATTACH_FILTER", &program, sizeof program);
}

void Listener::Join(uint32_t groups) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address)) {
    throw KernelError(errno, "bind", protocol_.name);
  }
}

Listener::Got Listener::Next(Bytes* out) {
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0 && errno == ENOBUFS) return Got::kOverrun;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return Got::kNothing;
    if (size < 0) throw KernelError(errno, "recvfrom", protocol_.name);
    // Any process may send to a netlink port; only the kernel's own address is 0.
    *out = from.nl_pid == 0 ? Bytes{buffer_.data(), static_cast<size_t>(size)} : Bytes{};
    return Got::kDatagram;
  }
}

}  // namespace forknet
