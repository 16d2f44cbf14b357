// Who is where: forwarding entries of a bridge and permanent IPv4 neighbours (RTM_NEWNEIGH,
// RTM_DELNEIGH), and how a link asks for those it does not know (RTM_SETNEIGHTBL).
#ifndef FORKNET_NEIGHBOR_H_
#define FORKNET_NEIGHBOR_H_

#include <cstdint>

#include "netlink/message.h"

namespace forknet {

/** `bridge fdb add MAC dev INDEX master static`. */
struct FdbAdd {
  int32_t ifindex = 0;
  uint64_t mac = 0;
};

struct FdbDelete {
  int32_t ifindex = 0;
  uint64_t mac = 0;
};

/** `ip neigh replace IP lladdr MAC dev INDEX nud permanent`. `ip` is in host byte order. */
struct NeighborSet {
  int32_t ifindex = 0;
  uint32_t ip = 0;
  uint64_t mac = 0;
};

struct NeighborDelete {
  int32_t ifindex = 0;
  uint32_t ip = 0;
};

/**
 * `ip ntable change name arp_cache dev DEV mcast_probes N`: how often an ARP request is broadcast,
 * the sysctl mcast_solicit.
 */
struct NeighborTable {
  int32_t ifindex = 0;
  uint32_t multicast_probes = 0;
};

void Encode(const FdbAdd& request, MessageBuilder* out);
void Encode(const FdbDelete& request, MessageBuilder* out);
void Encode(const NeighborSet& request, MessageBuilder* out);
void Encode(const NeighborDelete& request, MessageBuilder* out);
void Encode(const NeighborTable& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_NEIGHBOR_H_
