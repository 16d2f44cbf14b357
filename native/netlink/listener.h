// A socket in multicast groups of the kernel's. It is asked from time to time, and never waits.
#ifndef FORKNET_NETLINK_LISTENER_H_
#define FORKNET_NETLINK_LISTENER_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "bytes.h"
#include "netlink/socket.h"
#include "unique_fd.h"

namespace forknet {

using SocketFilter = std::vector<sock_filter>;

class Listener {
 public:
  enum class Got {
    /** Nothing waits. */
    kNothing,
    kDatagram,
    /** The kernel had more to tell than the buffer holds: something was lost. */
    kOverrun,
  };

  /** Opens the socket in the calling thread's network namespace; it hears nothing yet. */
  explicit Listener(Protocol protocol);

  /** How much may wait; without, what the system gives. */
  void SetBufferBytes(int bytes);

  /** From now on the kernel asks this filter when a datagram comes in. Throws KernelError. */
  void SetFilter(SocketFilter filter);

  /** Joins the groups, as bits. Throws KernelError. */
  void Join(uint32_t groups);

  /**
   * Receives one datagram, which is empty when the kernel did not send it. `out` holds until the
   * next call. Throws KernelError.
   */
  Got Next(Bytes* out);

 private:
  void Option(int option, const char* name, const void* value, unsigned size);

  Protocol protocol_;
  UniqueFd fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_LISTENER_H_
