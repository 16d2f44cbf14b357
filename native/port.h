// Settings of a bridge's port (RTM_SETLINK, AF_BRIDGE).
#ifndef FORKNET_PORT_H_
#define FORKNET_PORT_H_

#include <cstdint>
#include <optional>

#include "netlink/message.h"

namespace forknet {

/** `bridge link set dev INDEX ...`. The link must be on its bridge when the message is handled. */
struct PortSet {
  int32_t ifindex = 0;
  std::optional<bool> isolated;
  std::optional<bool> learning;
  std::optional<bool> unicast_flood;
  std::optional<bool> multicast_flood;
  std::optional<bool> broadcast_flood;
  /** BR_STATE_*. EBUSY where the kernel runs STP, ENETDOWN at a link without a carrier. */
  std::optional<uint8_t> state;
};

void Encode(const PortSet& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_PORT_H_
