// A socket that hears what changes in the kernel: links, traffic control, neighbours. It is asked
// from time to time, and never waits.
#ifndef FORKNET_NETLINK_MONITOR_H_
#define FORKNET_NETLINK_MONITOR_H_

#include <cstdint>
#include <vector>

#include "change.h"
#include "netlink/listener.h"

namespace forknet {

struct Heard {
  /** In order; of several about one link only the last, in the place of the first. */
  std::vector<Change> changes;
  /** The kernel had more to tell than the buffer holds: something was lost. */
  bool overrun = false;
  /** There may be more to read. */
  bool more = false;
};

class Monitor {
 public:
  /**
   * Listens in the calling thread's network namespace. What the sockets with these ports cause is
   * left out, where the kernel says who caused it, but for neighbours that come or change; and so
   * are changes of links that are down and were before. Throws KernelError.
   */
  explicit Monitor(const std::vector<uint32_t>& own_ports);

  /** From now on these ports are left out, and no others. Throws KernelError. */
  void LeaveOut(const std::vector<uint32_t>& own_ports);

  /** Reads at most so many datagrams, without waiting. Throws KernelError. */
  Heard Read(size_t datagrams);

 private:
  Listener listener_;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_MONITOR_H_
