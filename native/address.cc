// Bytes of the address messages.
#include "address.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace forknet {
namespace {

template <class Request>
void Start(uint16_t type, uint16_t flags, const Request& request, MessageBuilder* out) {
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = request.prefix_length;
  address.ifa_scope = RT_SCOPE_UNIVERSE;
  address.ifa_index = static_cast<uint32_t>(request.ifindex);
  out->Start(type, flags, address);
  // On a link that is not point to point, the local address and the peer's are the same.
  out->Attr(IFA_LOCAL, htonl(request.ip));
  out->Attr(IFA_ADDRESS, htonl(request.ip));
}

}  // namespace

void Encode(const AddressAdd& request, MessageBuilder* out) {
  Start(RTM_NEWADDR, kChangeRequest | NLM_F_CREATE | NLM_F_EXCL, request, out);
  // Subnets of /31 and /32 have no broadcast address (RFC 3021).
  if (request.prefix_length > 30) return;
  // broadcast = address with every host bit set
  const uint32_t broadcast = request.ip | 0xffffffffU >> request.prefix_length;
  out->Attr(IFA_BROADCAST, htonl(broadcast));
}

void Encode(const AddressDelete& request, MessageBuilder* out) {
  Start(RTM_DELADDR, kChangeRequest, request, out);
}

}  // namespace forknet
