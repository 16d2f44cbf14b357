// Bytes of the link messages.
#include "link.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "mac.h"

namespace forknet {
namespace {

// As `ip` does, without the closing NUL: an empty attribute is how an alias is cleared.
void Alias(const std::string& alias, MessageBuilder* out) {
  out->AttrRaw(IFLA_IFALIAS, alias.data(), alias.size());
}

void NoAddressGeneration(MessageBuilder* out) {
  out->Nest(AF_INET6,
            [&] { out->Attr(IFLA_INET6_ADDR_GEN_MODE, uint8_t{IN6_ADDR_GEN_MODE_NONE}); });
}

/** Each setting is an attribute of its own, numbered as the kernel numbers its sysctl. */
void Ipv4Settings(const LinkSet& request, MessageBuilder* out) {
  out->Nest(AF_INET, [&] {
    out->Nest(IFLA_INET_CONF, [&] {
      if (request.forwarding) out->Attr(IPV4_DEVCONF_FORWARDING, uint32_t{*request.forwarding});
      if (request.send_redirects) {
        out->Attr(IPV4_DEVCONF_SEND_REDIRECTS, uint32_t{*request.send_redirects});
      }
    });
  });
}

void BridgeData(const LinkCreate& request, MessageBuilder* out) {
  if (!request.multicast_snooping && !request.vlan_filtering) return;
  out->Nest(IFLA_INFO_DATA, [&] {
    if (request.vlan_filtering) {
      out->Attr(IFLA_BR_VLAN_FILTERING, uint8_t{*request.vlan_filtering});
    }
    if (request.multicast_snooping) {
      out->Attr(IFLA_BR_MCAST_SNOOPING, uint8_t{*request.multicast_snooping});
    }
  });
}

}  // namespace

void Encode(const LinkCreate& request, MessageBuilder* out) {
  out->Start(RTM_NEWLINK, kChangeRequest | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  out->Text(IFLA_IFNAME, request.name);
  if (request.mac) out->Attr(IFLA_ADDRESS, MacBytes(*request.mac));
  if (request.mtu) out->Attr(IFLA_MTU, *request.mtu);
  if (request.tx_queue_length) out->Attr(IFLA_TXQLEN, *request.tx_queue_length);
  out->Nest(IFLA_LINKINFO, [&] {
    out->AttrRaw(IFLA_INFO_KIND, request.kind.data(), request.kind.size());
    BridgeData(request, out);
  });
  if (!request.alias && !request.no_address_generation) return;
  // A message that creates a link ignores IFLA_IFALIAS and is refused with EAFNOSUPPORT for
  // IFLA_AF_SPEC (seen on 6.18): both need a link that exists. It is found by its name, which is
  // why this one must not be sent when the name turned out to be somebody else's.
  out->Then().Start(RTM_NEWLINK, kChangeRequest, ifinfomsg{});
  out->Text(IFLA_IFNAME, request.name);
  if (request.alias) Alias(*request.alias, out);
  if (request.no_address_generation) {
    out->Nest(IFLA_AF_SPEC, [&] { NoAddressGeneration(out); });
  }
}

void Encode(const LinkSet& request, MessageBuilder* out) {
  ifinfomsg link{};
  link.ifi_index = request.ifindex;
  if (request.up) {
    link.ifi_change = IFF_UP;
    link.ifi_flags = *request.up ? IFF_UP : 0;
  }
  out->Start(RTM_NEWLINK, kChangeRequest, link);
  if (request.name) out->Text(IFLA_IFNAME, *request.name);
  if (request.mac) out->Attr(IFLA_ADDRESS, MacBytes(*request.mac));
  if (request.mtu) out->Attr(IFLA_MTU, *request.mtu);
  if (request.tx_queue_length) out->Attr(IFLA_TXQLEN, *request.tx_queue_length);
  if (request.master) out->Attr(IFLA_MASTER, *request.master);
  if (request.group) out->Attr(IFLA_GROUP, *request.group);
  if (request.alias) Alias(*request.alias, out);
  const bool has_ipv4 = request.forwarding || request.send_redirects;
  if (!has_ipv4 && !request.no_address_generation) return;
  out->Nest(IFLA_AF_SPEC, [&] {
    if (has_ipv4) Ipv4Settings(request, out);
    if (request.no_address_generation) NoAddressGeneration(out);
  });
}

void Encode(const LinkDelete& request, MessageBuilder* out) {
  ifinfomsg link{};
  link.ifi_index = request.ifindex;
  out->Start(RTM_DELLINK, kChangeRequest, link);
}

void Encode(const LinkDeleteGroup& request, MessageBuilder* out) {
  out->Start(RTM_DELLINK, kChangeRequest, ifinfomsg{});
  out->Attr(IFLA_GROUP, request.group);
}

}  // namespace forknet
