// Bytes of the neighbour messages.
#include "neighbor.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "mac.h"

namespace forknet {
namespace {

ndmsg FdbHeader(int32_t ifindex) {
  ndmsg entry{};
  entry.ndm_family = PF_BRIDGE;
  entry.ndm_ifindex = ifindex;
  // The entry belongs to the bridge, not to the port's own device.
  entry.ndm_flags = NTF_MASTER;
  // Static: does not age and does not move. NUD_PERMANENT would make it an address of the bridge
  // itself.
  entry.ndm_state = NUD_NOARP;
  return entry;
}

ndmsg NeighborHeader(int32_t ifindex, uint16_t state) {
  ndmsg entry{};
  entry.ndm_family = AF_INET;
  entry.ndm_ifindex = ifindex;
  entry.ndm_state = state;
  return entry;
}

}  // namespace

void Encode(const FdbAdd& request, MessageBuilder* out) {
  // EXCL, because REPLACE silently moves another port's address here.
  out->Start(RTM_NEWNEIGH, kChangeRequest | NLM_F_CREATE | NLM_F_EXCL, FdbHeader(request.ifindex));
  out->Attr(NDA_LLADDR, MacBytes(request.mac));
}

void Encode(const FdbDelete& request, MessageBuilder* out) {
  out->Start(RTM_DELNEIGH, kChangeRequest, FdbHeader(request.ifindex));
  out->Attr(NDA_LLADDR, MacBytes(request.mac));
}

void Encode(const NeighborSet& request, MessageBuilder* out) {
  out->Start(RTM_NEWNEIGH, kChangeRequest | NLM_F_CREATE | NLM_F_REPLACE,
             NeighborHeader(request.ifindex, NUD_PERMANENT));
  out->Attr(NDA_DST, htonl(request.ip));
  out->Attr(NDA_LLADDR, MacBytes(request.mac));
}

void Encode(const NeighborDelete& request, MessageBuilder* out) {
  out->Start(RTM_DELNEIGH, kChangeRequest, NeighborHeader(request.ifindex, NUD_NONE));
  out->Attr(NDA_DST, htonl(request.ip));
}

void Encode(const NeighborTable& request, MessageBuilder* out) {
  out->Start(RTM_SETNEIGHTBL, kChangeRequest, ndtmsg{});
  out->Text(NDTA_NAME, "arp_cache");
  out->Nest(NDTA_PARMS, [&] {
    out->Attr(NDTPA_IFINDEX, request.ifindex);
    out->Attr(NDTPA_MCAST_PROBES, request.multicast_probes);
  });
}

}  // namespace forknet
