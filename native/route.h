// IPv4 routes in the main table (RTM_NEWROUTE).
#ifndef FORKNET_ROUTE_H_
#define FORKNET_ROUTE_H_

#include <cstdint>
#include <optional>

#include "netlink/message.h"

namespace forknet {

/** `ip route add DESTINATION/LEN [via GATEWAY] dev INDEX`. Addresses are in host byte order. */
struct RouteAdd {
  uint32_t destination = 0;
  uint8_t prefix_length = 0;
  std::optional<uint32_t> gateway;
  int32_t ifindex = 0;
};

void Encode(const RouteAdd& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_ROUTE_H_
