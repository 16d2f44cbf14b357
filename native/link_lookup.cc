// SIOCGIFINDEX and SIOCGIFNAME on a socket of the moment: dev_ioctl reads under RCU.
#include "link_lookup.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "netlink/kernel_error.h"
#include "unique_fd.h"

namespace forknet {
namespace {

UniqueFd OpenSocket() {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    throw KernelError(errno, "socket");
  }
  return fd;
}

}  // namespace

int32_t IfindexOf(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (ioctl(OpenSocket().get(), SIOCGIFINDEX, &request)) {
    throw KernelError(errno, "SIOCGIFINDEX", name);
  }
  return request.ifr_ifindex;
}

bool LinkExists(int32_t ifindex) {
  ifreq request{};
  request.ifr_ifindex = ifindex;
  if (ioctl(OpenSocket().get(), SIOCGIFNAME, &request) == 0) {
    return true;
  }
  if (errno != ENODEV) {
    throw KernelError(errno, "SIOCGIFNAME", std::to_string(ifindex));
  }
  return false;
}

}  // namespace forknet
