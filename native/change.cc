// The messages of rtnetlink's multicast groups, by their type.
#include "change.h"

#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "dump_ip.h"

namespace forknet {
namespace {

bool ParseLinkChange(Bytes payload, Change* out) {
  ifinfomsg header;
  if (!payload.Read(&header)) return false;
  out->ifindex = header.ifi_index;
  out->object = header.ifi_family == AF_BRIDGE ? ChangedObject::kPort : ChangedObject::kLink;
  if (out->removed) return true;
  out->link.emplace();
  return out->object == ChangedObject::kPort ? ParseBridgePort(payload, &*out->link)
                                             : ParseLink(payload, &*out->link);
}

bool ParseTcChange(ChangedObject object, Bytes payload, Change* out) {
  tcmsg header;
  if (!payload.Read(&header)) return false;
  out->object = object;
  out->ifindex = header.tcm_ifindex;
  out->handle = header.tcm_handle;
  out->parent = header.tcm_parent;
  return true;
}

bool ParseNeighborChange(Bytes payload, Change* out) {
  ndmsg header;
  if (!payload.Read(&header)) return false;
  if (header.ndm_family == AF_INET) {
    NeighborInfo neighbor;
    if (!ParseNeighbor(payload, &neighbor)) return false;
    out->object = ChangedObject::kNeighbor;
    out->ip = neighbor.ip;
    out->mac = neighbor.mac;
  } else if (header.ndm_family == AF_BRIDGE) {
    out->object = ChangedObject::kFdb;
    ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
      if (a.type == NDA_LLADDR) out->mac = a.Mac();
    });
  } else {
    return false;
  }
  out->ifindex = header.ndm_ifindex;
  out->state = header.ndm_state;
  return true;
}

}  // namespace

bool Change::Replaces(const Change& earlier) const {
  return (object == ChangedObject::kLink || object == ChangedObject::kPort) &&
         object == earlier.object && ifindex == earlier.ifindex && !removed && !earlier.removed;
}

bool ParseChange(const Reply& message, Change* out) {
  const uint16_t type = message.header.nlmsg_type;
  out->removed = type == RTM_DELLINK || type == RTM_DELQDISC || type == RTM_DELTCLASS ||
                 type == RTM_DELTFILTER || type == RTM_DELNEIGH;
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return ParseLinkChange(message.payload, out);
    case RTM_NEWQDISC:
    case RTM_DELQDISC:
      return ParseTcChange(ChangedObject::kQdisc, message.payload, out);
    case RTM_NEWTCLASS:
    case RTM_DELTCLASS:
      return ParseTcChange(ChangedObject::kClass, message.payload, out);
    case RTM_NEWTFILTER:
    case RTM_DELTFILTER:
      return ParseTcChange(ChangedObject::kFilter, message.payload, out);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return ParseNeighborChange(message.payload, out);
    default:
      return false;
  }
}

}  // namespace forknet
