// Opening /dev/net/tun and the ioctls on it.
#include "tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
// struct virtio_net_hdr without num_buffers: the kernel's own default, restored in case an earlier
// user of a persistent TAP left another.
constexpr int kVnetHeaderBytes = 10;

// TUN_F_USO4 | TUN_F_USO6: UDP segments, which TAPs have since Linux 6.2, and older headers lack.
constexpr unsigned kUdpSegments = 0x20 | 0x40;

void AskForOffloads(int fd, const char* name) {
  constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (!ioctl(fd, TUNSETOFFLOAD, kOffloads | kUdpSegments)) return;
  if (errno == EINVAL && !ioctl(fd, TUNSETOFFLOAD, kOffloads)) return;
  throw KernelError(errno, "TUNSETOFFLOAD", name);
}

}  // namespace

Tap OpenTap(const TapOptions& options, const LookupSocket& lookup) {
  const char* name = options.name.c_str();
  Tap tap;
  const int nonblock = options.non_blocking ? O_NONBLOCK : 0;
  tap.fd.Reset(open(kDevice, O_RDWR | O_CLOEXEC | nonblock));
  if (!tap.fd.valid()) throw KernelError(errno, "open", kDevice);
  const int fd = tap.fd.get();

  unsigned flags = IFF_TAP | IFF_NO_PI;
  if (options.vnet_hdr) flags |= IFF_VNET_HDR;
  if (options.multi_queue) flags |= IFF_MULTI_QUEUE;
  if (options.exclusive) flags |= IFF_TUN_EXCL;
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(flags);  // IFF_TUN_EXCL is the sign bit.
  if (ioctl(fd, TUNSETIFF, &request)) throw KernelError(errno, "TUNSETIFF", name);
  if (options.owner) SetTapOwner(fd, *options.owner);
  if (options.group) SetTapGroup(fd, *options.group);
  if (options.vnet_hdr && ioctl(fd, TUNSETVNETHDRSZ, &kVnetHeaderBytes)) {
    throw KernelError(errno, "TUNSETVNETHDRSZ", name);
  }
  if (options.offload) AskForOffloads(fd, name);
  // Asked again rather than taken from `options`: another process may have renamed the device
  // since.
  if (ioctl(fd, TUNGETIFF, &request)) throw KernelError(errno, "TUNGETIFF", name);
  tap.name.assign(request.ifr_name, strnlen(request.ifr_name, IFNAMSIZ));
  tap.ifindex = lookup.IfindexOf(tap.name);
  return tap;
}

void SetTapPersistent(int fd, bool persistent) {
  if (ioctl(fd, TUNSETPERSIST, persistent ? 1 : 0)) throw KernelError(errno, "TUNSETPERSIST");
}

void SetTapOwner(int fd, uint32_t uid) {
  if (ioctl(fd, TUNSETOWNER, uid)) throw KernelError(errno, "TUNSETOWNER");
}

void SetTapGroup(int fd, uint32_t gid) {
  if (ioctl(fd, TUNSETGROUP, gid)) throw KernelError(errno, "TUNSETGROUP");
}

}  // namespace forknet
