// A socket that hears every transaction that changes nftables' rules, and who made it.
#ifndef FORKNET_NETLINK_RULESET_MONITOR_H_
#define FORKNET_NETLINK_RULESET_MONITOR_H_

#include <vector>

#include "generation.h"
#include "netlink/listener.h"

namespace forknet {

struct HeardGenerations {
  /** In order. */
  std::vector<Generation> generations;
  /** Some were lost. */
  bool overrun = false;
};

class RulesetMonitor {
 public:
  /**
   * Listens in the calling thread's network namespace; needs CAP_NET_ADMIN there. Throws
   * KernelError.
   */
  RulesetMonitor();

  /** All that waits, but for what comes in meanwhile. Throws KernelError. */
  HeardGenerations Read();

 private:
  Listener listener_;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_RULESET_MONITOR_H_
