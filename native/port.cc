// Bytes of the port message.
#include "port.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace forknet {

void Encode(const PortSet& request, MessageBuilder* out) {
  ifinfomsg link{};
  link.ifi_family = AF_BRIDGE;
  link.ifi_index = request.ifindex;
  out->Start(RTM_SETLINK, kChangeRequest, link);
  // Without NLA_F_NESTED the kernel takes IFLA_PROTINFO for the old one-byte port state.
  out->Nest(IFLA_PROTINFO | NLA_F_NESTED, [&] {
    // One byte, not a flag: an empty attribute is refused with ERANGE, and 0 must be sendable to
    // clear it.
    const auto flag = [&](uint16_t type, std::optional<bool> value) {
      if (value) out->Attr(type, uint8_t{*value});
    };
    if (request.state) out->Attr(IFLA_BRPORT_STATE, *request.state);
    flag(IFLA_BRPORT_LEARNING, request.learning);
    flag(IFLA_BRPORT_UNICAST_FLOOD, request.unicast_flood);
    flag(IFLA_BRPORT_MCAST_FLOOD, request.multicast_flood);
    flag(IFLA_BRPORT_BCAST_FLOOD, request.broadcast_flood);
    flag(IFLA_BRPORT_ISOLATED, request.isolated);
  });
}

}  // namespace forknet
