// Requests for links and the parser of what comes back.
#include "dump_link.h"

#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "netlink/attributes.h"

namespace forknet {
namespace {

// <net/if.h> stops before it, and <linux/if.h> cannot be included beside <net/if.h>.
constexpr unsigned kLowerUp = 1U << 16;  // IFF_LOWER_UP

// The kernel tells a bridge's times in hundredths of a second, USER_HZ.
constexpr uint32_t kMsPerUserTick = 10;

PortInfo ParsePort(Bytes data) {
  PortInfo port;
  ForEachAttribute(data, [&](const Attribute& a) {
    if (a.type == IFLA_BRPORT_STATE) port.state = a.U8();
    if (a.type == IFLA_BRPORT_ISOLATED) port.isolated = a.U8() != 0;
    if (a.type == IFLA_BRPORT_LEARNING) port.learning = a.U8() != 0;
    if (a.type == IFLA_BRPORT_UNICAST_FLOOD) port.unicast_flood = a.U8() != 0;
    if (a.type == IFLA_BRPORT_MCAST_FLOOD) port.multicast_flood = a.U8() != 0;
    if (a.type == IFLA_BRPORT_BCAST_FLOOD) port.broadcast_flood = a.U8() != 0;
  });
  return port;
}

BridgeInfo ParseBridge(Bytes data) {
  BridgeInfo bridge;
  ForEachAttribute(data, [&](const Attribute& a) {
    if (a.type == IFLA_BR_MCAST_SNOOPING) bridge.multicast_snooping = a.U8() != 0;
    if (a.type == IFLA_BR_VLAN_FILTERING) bridge.vlan_filtering = a.U8() != 0;
    if (a.type == IFLA_BR_VLAN_DEFAULT_PVID) bridge.default_vlan = a.As<uint16_t>();
    if (a.type == IFLA_BR_STP_STATE) bridge.stp_state = a.U32();
    if (a.type == IFLA_BR_FORWARD_DELAY) bridge.forward_delay_ms = a.U32() * kMsPerUserTick;
  });
  return bridge;
}

TunInfo ParseTun(Bytes data) {
  TunInfo tun;
  ForEachAttribute(data, [&](const Attribute& a) {
    if (a.type == IFLA_TUN_TYPE) tun.tap = a.U8() == IFF_TAP;
    if (a.type == IFLA_TUN_PERSIST) tun.persistent = a.U8() != 0;
    if (a.type == IFLA_TUN_VNET_HDR) tun.vnet_hdr = a.U8() != 0;
    if (a.type == IFLA_TUN_MULTI_QUEUE) tun.multi_queue = a.U8() != 0;
    if (a.type == IFLA_TUN_OWNER) tun.owner = a.U32();
    if (a.type == IFLA_TUN_GROUP) tun.group = a.U32();
    if (a.type == IFLA_TUN_NUM_QUEUES || a.type == IFLA_TUN_NUM_DISABLED_QUEUES) {
      tun.queues = tun.queues.value_or(0) + a.U32();
    }
  });
  return tun;
}

void ParseLinkInfo(Bytes info, LinkInfo* out) {
  std::string port_kind;
  Bytes data;
  Bytes port_data;
  // Kinds and data come in no promised order.
  ForEachAttribute(info, [&](const Attribute& a) {
    if (a.type == IFLA_INFO_KIND) out->kind = a.Text();
    if (a.type == IFLA_INFO_DATA) data = a.value;
    if (a.type == IFLA_INFO_SLAVE_KIND) port_kind = a.Text();
    if (a.type == IFLA_INFO_SLAVE_DATA) port_data = a.value;
  });
  if (out->kind == "bridge") out->bridge = ParseBridge(data);
  if (out->kind == "tun") out->tun = ParseTun(data);
  if (port_kind == "bridge") out->port = ParsePort(port_data);
}

/** The settings are an array of 32-bit numbers, the first being number 1. */
bool Ipv4Setting(Bytes settings, size_t number) {
  uint32_t value = 0;
  settings.Skip((number - 1) * sizeof value).Read(&value);
  return value != 0;
}

void ParseFamilies(Bytes families, LinkInfo* out) {
  ForEachAttribute(families, [&](const Attribute& family) {
    if (family.type != AF_INET) return;
    ForEachAttribute(family.value, [&](const Attribute& a) {
      if (a.type != IFLA_INET_CONF) return;
      out->forwarding = Ipv4Setting(a.value, IPV4_DEVCONF_FORWARDING);
      out->send_redirects = Ipv4Setting(a.value, IPV4_DEVCONF_SEND_REDIRECTS);
    });
  });
}

void StartGet(uint16_t flags, int32_t ifindex, MessageBuilder* out) {
  ifinfomsg link{};
  link.ifi_index = ifindex;
  out->Start(RTM_GETLINK, flags, link);
  // Counters are most of a link's bytes, and nothing here reads them.
  out->Attr(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
}

}  // namespace

bool LinkFilter::Admits(const LinkInfo& link) const {
  return (!master || link.master == *master) && (!kind || link.kind == *kind);
}

void EncodeLinkDump(const LinkFilter& filter, MessageBuilder* out) {
  StartGet(kDumpRequest, 0, out);
  if (filter.master.value_or(0) > 0) out->Attr(IFLA_MASTER, *filter.master);
  if (filter.kind && !filter.kind->empty()) {
    out->Nest(IFLA_LINKINFO, [&] { out->Text(IFLA_INFO_KIND, *filter.kind); });
  }
}

void EncodeLinkGet(int32_t ifindex, MessageBuilder* out) { StartGet(NLM_F_REQUEST, ifindex, out); }

void EncodeLinkGet(const std::string& name, MessageBuilder* out) {
  StartGet(NLM_F_REQUEST, 0, out);
  out->Text(IFLA_IFNAME, name);
}

bool ParseLink(Bytes payload, LinkInfo* out) {
  ifinfomsg header;
  if (!payload.Read(&header)) return false;
  out->ifindex = header.ifi_index;
  out->up = (header.ifi_flags & IFF_UP) != 0;
  out->running = (header.ifi_flags & IFF_RUNNING) != 0;
  out->lower_up = (header.ifi_flags & kLowerUp) != 0;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == IFLA_IFNAME) out->name = a.Text();
    if (a.type == IFLA_MASTER) out->master = a.As<int32_t>();
    if (a.type == IFLA_ADDRESS) out->mac = a.Mac();
    if (a.type == IFLA_MTU) out->mtu = a.U32();
    if (a.type == IFLA_GROUP) out->group = a.U32();
    if (a.type == IFLA_IFALIAS) out->alias = a.Text();
    if (a.type == IFLA_CARRIER_UP_COUNT) out->carrier_ups = a.U32();
    if (a.type == IFLA_TXQLEN) out->tx_queue_length = a.U32();
    if (a.type == IFLA_LINKINFO) ParseLinkInfo(a.value, out);
    if (a.type == IFLA_AF_SPEC) ParseFamilies(a.value, out);
  });
  return true;
}

bool ParseBridgePort(Bytes payload, LinkInfo* out) {
  if (!ParseLink(payload, out)) return false;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof(ifinfomsg))), [&](const Attribute& a) {
    if (a.type == IFLA_PROTINFO) out->port = ParsePort(a.value);
  });
  return true;
}

}  // namespace forknet
