// Requests for addresses, routes, rules, neighbours and forwarding entries, and the parsers of what
// comes back.
#include "dump_ip.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/attributes.h"

namespace forknet {
namespace {

std::vector<int32_t> ParseHops(Bytes hops) {
  std::vector<int32_t> links;
  // Each has its length, attributes included: RTNH_NEXT() in the kernel's header.
  for (rtnexthop hop; hops.Read(&hop) && hop.rtnh_len >= sizeof hop && hop.rtnh_len <= hops.size;
       hops = hops.Skip(RTNH_ALIGN(hop.rtnh_len))) {
    links.push_back(hop.rtnh_ifindex);
  }
  return links;
}

}  // namespace

void EncodeAddressDump(std::optional<int32_t> ifindex, MessageBuilder* out) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_index = static_cast<uint32_t>(ifindex.value_or(0));
  out->Start(RTM_GETADDR, kDumpRequest, header);
}

void EncodeRouteDump(MessageBuilder* out) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  out->Start(RTM_GETROUTE, kDumpRequest, header);
}

void EncodeRuleDump(MessageBuilder* out) {
  fib_rule_hdr header{};
  header.family = AF_INET;
  out->Start(RTM_GETRULE, kDumpRequest, header);
}

void EncodeNeighborDump(std::optional<int32_t> ifindex, MessageBuilder* out) {
  ndmsg header{};
  header.ndm_family = AF_INET;
  out->Start(RTM_GETNEIGH, kDumpRequest, header);
  // Strict checking refuses ndm_ifindex in a dump request and takes the attribute.
  if (ifindex) out->Attr(NDA_IFINDEX, *ifindex);
}

void EncodeFdbDump(int32_t bridge, MessageBuilder* out) {
  ndmsg header{};
  header.ndm_family = PF_BRIDGE;
  out->Start(RTM_GETNEIGH, kDumpRequest, header);
  out->Attr(NDA_MASTER, bridge);
}

bool ParseAddress(Bytes payload, AddressInfo* out) {
  ifaddrmsg header;
  if (!payload.Read(&header) || header.ifa_family != AF_INET) return false;
  out->ifindex = static_cast<int32_t>(header.ifa_index);
  out->prefix_length = header.ifa_prefixlen;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == IFA_LOCAL) out->ip = a.Ipv4();
  });
  return true;
}

bool ParseRoute(Bytes payload, RouteInfo* out) {
  rtmsg header;
  if (!payload.Read(&header) || header.rtm_family != AF_INET) return false;
  out->prefix_length = header.rtm_dst_len;
  out->table = header.rtm_table;
  out->type = header.rtm_type;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == RTA_DST) out->destination = a.Ipv4();
    if (a.type == RTA_GATEWAY) out->gateway = a.Ipv4();
    if (a.type == RTA_OIF) out->ifindex = a.As<int32_t>();
    if (a.type == RTA_PRIORITY) out->metric = a.U32();
    if (a.type == RTA_MULTIPATH) out->hops = ParseHops(a.value);
    // Table numbers above 255 do not fit into the header.
    if (a.type == RTA_TABLE) out->table = a.U32();
  });
  return true;
}

bool ParseRule(Bytes payload, RuleInfo* out) {
  fib_rule_hdr header;
  if (!payload.Read(&header) || header.family != AF_INET) return false;
  out->action = header.action;
  out->table = header.table;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    // As with routes: the header has room for 255.
    if (a.type == FRA_TABLE) out->table = a.U32();
  });
  return true;
}

bool ParseNeighbor(Bytes payload, NeighborInfo* out) {
  ndmsg header;
  if (!payload.Read(&header) || header.ndm_family != AF_INET) return false;
  out->ifindex = header.ndm_ifindex;
  out->state = header.ndm_state;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == NDA_DST) out->ip = a.Ipv4();
    if (a.type == NDA_LLADDR) out->mac = a.Mac();
  });
  return true;
}

bool ParseFdb(Bytes payload, int32_t bridge, FdbInfo* out) {
  ndmsg header;
  if (!payload.Read(&header) || header.ndm_family != PF_BRIDGE) return false;
  int32_t master = 0;
  out->ifindex = header.ndm_ifindex;
  out->state = header.ndm_state;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == NDA_LLADDR) out->mac = a.Mac();
    if (a.type == NDA_MASTER) master = a.As<int32_t>();
  });
  // NDA_MASTER in the request lets other bridges' own entries through (seen on 6.18).
  return master == bridge;
}

}  // namespace forknet
