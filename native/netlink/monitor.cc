// Listening on the multicast groups of NETLINK_ROUTE, past what we caused ourselves.
#include "netlink/monitor.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstddef>
#include <iterator>
#include <map>
#include <utility>

namespace forknet {
namespace {

// A cold fork leaves some ten messages of up to 2 KiB here, and nobody reads while the event loop
// is busy. The kernel takes the memory only for what waits.
constexpr int kSocketBufferBytes = 8 << 20;

// Messages about traffic control, neighbours, and links that come or go carry in nlmsg_pid the port
// of the socket that caused them (qdisc_notify() and its like in net/sched); a change of a link
// does not. Nor does the end of a neighbour (neigh_cleanup_and_release()), so that one that comes
// is told whoever brought it: who hears only the end would think that it is gone. BPF loads words
// in network byte order.
void LeaveOutOwn(const std::vector<uint32_t>& ports, SocketFilter* filter) {
  filter->push_back(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)));
  filter->push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 0, 1));
  filter->push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  filter->push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)));
  for (const uint32_t port : ports) {
    filter->push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1));
    filter->push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
}

// Half of what is said of a link in the making: it is down and was before. One that is being set
// down has IFF_UP in ifi_change (__dev_notify_flags()); a new one has all bits there
// (register_netdevice()). Ends the filter.
void LeaveOutDown(SocketFilter* filter) {
  constexpr uint32_t kFlags = NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_flags);
  constexpr uint32_t kChange = NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_change);
  const uint32_t up = htonl(IFF_UP);
  const sock_filter rest[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWLINK), 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, up, 3, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kChange),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, up, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  filter->insert(filter->end(), std::begin(rest), std::end(rest));
}

}  // namespace

Monitor::Monitor(const std::vector<uint32_t>& own_ports) : listener_(kRouteProtocol) {
  listener_.SetBufferBytes(kSocketBufferBytes);
  LeaveOut(own_ports);
  listener_.Join(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_TC);
}

// The kernel asks the filter when a message comes in: what a port that is left out no more caused
// before is not heard later.
void Monitor::LeaveOut(const std::vector<uint32_t>& own_ports) {
  SocketFilter filter;
  LeaveOutOwn(own_ports, &filter);
  LeaveOutDown(&filter);
  listener_.SetFilter(std::move(filter));
}

Heard Monitor::Read(size_t datagrams) {
  Heard heard;
  std::map<std::pair<ChangedObject, int32_t>, size_t> places;
  for (size_t i = 0; i < datagrams; i++) {
    Bytes rest;
    const Listener::Got got = listener_.Next(&rest);
    if (got == Listener::Got::kNothing) return heard;
    if (got == Listener::Got::kOverrun) heard.overrun = true;
    for (Reply message; NextReply(&rest, &message);) {
      Change change;
      if (!ParseChange(message, &change)) continue;
      const auto [place, is_first] =
          places.emplace(std::pair(change.object, change.ifindex), heard.changes.size());
      if (!is_first && change.Replaces(heard.changes[place->second])) {
        heard.changes[place->second] = std::move(change);
      } else {
        place->second = heard.changes.size();
        heard.changes.push_back(std::move(change));
      }
    }
  }
  heard.more = true;
  return heard;
}

}  // namespace forknet
