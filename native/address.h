// IPv4 addresses of links (RTM_NEWADDR, RTM_DELADDR).
#ifndef FORKNET_ADDRESS_H_
#define FORKNET_ADDRESS_H_

#include <cstdint>

#include "netlink/message.h"

namespace forknet {

/** `ip addr add IP/LEN brd + dev INDEX`. `ip` is in host byte order. */
struct AddressAdd {
  int32_t ifindex = 0;
  uint32_t ip = 0;
  uint8_t prefix_length = 0;
};

struct AddressDelete {
  int32_t ifindex = 0;
  uint32_t ip = 0;
  uint8_t prefix_length = 0;
};

void Encode(const AddressAdd& request, MessageBuilder* out);
void Encode(const AddressDelete& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_ADDRESS_H_
