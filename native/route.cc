// Bytes of the route message.
#include "route.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace forknet {

void Encode(const RouteAdd& request, MessageBuilder* out) {
  rtmsg route{};
  route.rtm_family = AF_INET;
  route.rtm_dst_len = request.prefix_length;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_BOOT;
  // What has no gateway is on the link itself.
  route.rtm_scope = request.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  route.rtm_type = RTN_UNICAST;
  out->Start(RTM_NEWROUTE, kChangeRequest | NLM_F_CREATE | NLM_F_EXCL, route);
  if (request.prefix_length > 0) out->Attr(RTA_DST, htonl(request.destination));
  if (request.gateway) out->Attr(RTA_GATEWAY, htonl(*request.gateway));
  out->Attr(RTA_OIF, request.ifindex);
}

}  // namespace forknet
