// SIOCGIFINDEX, SIOCGIFNAME and SIOCGIFFLAGS: dev_ioctl reads under RCU.
#include "link_lookup.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "netlink/kernel_error.h"

namespace forknet {

void LookupSocket::Renew() { fd_.Reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

int32_t LookupSocket::IfindexOf(const std::string& name) const {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (ioctl(fd_.get(), SIOCGIFINDEX, &request)) {
    throw KernelError(errno, "SIOCGIFINDEX", name);
  }
  return request.ifr_ifindex;
}

std::optional<uint16_t> LookupSocket::FlagsOf(int32_t ifindex) const {
  ifreq request{};
  request.ifr_ifindex = ifindex;
  // The name is an operator's to change, so the link is asked for its own.
  if (ioctl(fd_.get(), SIOCGIFNAME, &request) == 0 &&
      ioctl(fd_.get(), SIOCGIFFLAGS, &request) == 0) {
    return static_cast<uint16_t>(request.ifr_flags);
  }
  if (errno != ENODEV) {
    throw KernelError(errno, "SIOCGIFFLAGS", std::to_string(ifindex));
  }
  return std::nullopt;
}

}  // namespace forknet
