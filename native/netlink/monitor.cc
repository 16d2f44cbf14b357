// Listening on the multicast groups of NETLINK_ROUTE, past what we caused ourselves.
#include "netlink/monitor.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <map>
#include <utility>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

constexpr size_t kReceiveBytes = 65536;
// A cold fork leaves some ten messages of up to 2 KiB here, and nobody reads while the event loop
// is busy. The kernel takes the memory only for what waits.
constexpr int kSocketBufferBytes = 8 << 20;

void Option(int fd, int level, int option, const char* name, const void* value, socklen_t size) {
  if (setsockopt(fd, level, option, value, size)) throw KernelError(errno, "setsockopt", name);
}

using Filter = std::vector<sock_filter>;

// Messages about traffic control, neighbours, and links that come or go carry in nlmsg_pid the port
// of the socket that caused them (qdisc_notify() and its like in net/sched); a change of a link
// does not. Nor does the end of a neighbour (neigh_cleanup_and_release()), so that one that comes
// is told whoever brought it: who hears only the end would think that it is gone. BPF loads words
// in network byte order.
void LeaveOutOwn(const std::vector<uint32_t>& ports, Filter* filter) {
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
void LeaveOutDown(Filter* filter) {
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

void Attach(int fd, Filter filter) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.size());
  program.filter = filter.data();
  Option(fd, SOL_SOCKET, SO_ATTACH_FILTER, "SO_ATTACH_FILTER", &program, sizeof program);
}

}  // namespace

Monitor::Monitor(const std::vector<uint32_t>& own_ports)
    : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)),
      buffer_(kReceiveBytes) {
  if (!fd_.valid()) throw KernelError(errno, "socket", "NETLINK_ROUTE");
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBufferBytes, sizeof(int))) {
    Option(fd_.get(), SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", &kSocketBufferBytes, sizeof(int));
  }
  LeaveOut(own_ports);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_TC;
  if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address)) {
    throw KernelError(errno, "bind", "NETLINK_ROUTE");
  }
}

// The kernel asks the filter when a message comes in: what a port that is left out no more caused
// before is not heard later.
void Monitor::LeaveOut(const std::vector<uint32_t>& own_ports) {
  Filter filter;
  LeaveOutOwn(own_ports, &filter);
  LeaveOutDown(&filter);
  Attach(fd_.get(), std::move(filter));
}

Heard Monitor::Read(size_t datagrams) {
  Heard heard;
  std::map<std::pair<ChangedObject, int32_t>, size_t> places;
  for (size_t i = 0; i < datagrams; i++) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0 && errno == ENOBUFS) heard.overrun = true;
    if (size < 0 && (errno == ENOBUFS || errno == EINTR)) continue;
    if (size < 0 && errno == EAGAIN) return heard;
    if (size < 0) throw KernelError(errno, "recvfrom", "NETLINK_ROUTE");
    // Any process may send to a netlink port; only the kernel's own address is 0.
    if (from.nl_pid != 0) continue;
    Bytes rest{buffer_.data(), static_cast<size_t>(size)};
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
