// The messages of one slot, in the kernel's own terms. What they are for is in src/plans/slot.ts.
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <net/if.h>

#include "batch.h"

inline double ticks_per_us = 1;

inline uint32_t Ticks(double bytes, double rate) {
  return static_cast<uint32_t>(1e6 * bytes / rate * ticks_per_us);
}

inline tcmsg TcObject(int ifindex, uint32_t parent, uint32_t handle) {
  tcmsg t{};
  t.tcm_ifindex = ifindex;
  t.tcm_parent = parent;
  t.tcm_handle = handle;
  return t;
}

inline void AddLink(Batch& batch, const char* name, const char* kind) {
  ifinfomsg i{};
  i.ifi_flags = i.ifi_change = IFF_UP;
  batch.Start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, i)
      .Attr(IFLA_IFNAME, name)
      .Nest(IFLA_LINKINFO, [&] { batch.Attr(IFLA_INFO_KIND, kind); })
      .End();
}

// A bridge whose MAC does not change with its ports (which would flush its neighbours), without
// multicast snooping.
inline void AddSteadyBridge(Batch& batch, const char* name) {
  ifinfomsg i{};
  i.ifi_flags = i.ifi_change = IFF_UP;
  uint8_t mac[6] = {2, 0, 10, 100, 0, 1}, off = 0;
  batch.Start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, i)
      .Attr(IFLA_IFNAME, name)
      .Attr(IFLA_ADDRESS, mac)
      .Nest(IFLA_LINKINFO,
            [&] {
              batch.Attr(IFLA_INFO_KIND, "bridge");
              batch.Nest(IFLA_INFO_DATA, [&] { batch.Attr(IFLA_BR_MCAST_SNOOPING, off); });
            })
      .End();
}

inline void Tbf(Batch& batch, int ifindex, uint32_t rate, uint32_t burst) {
  tc_tbf_qopt q{};
  q.rate.rate = rate;
  q.rate.linklayer = TC_LINKLAYER_ETHERNET;
  q.limit = rate / 20 + burst;
  q.buffer = Ticks(burst, rate);
  batch.Start(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, TcObject(ifindex, TC_H_ROOT, 0x10000))
      .Attr(TCA_KIND, "tbf")
      .Nest(TCA_OPTIONS, [&] { batch.Attr(TCA_TBF_PARMS, q).Attr(TCA_TBF_BURST, burst); })
      .End();
}

inline void HtbRoot(Batch& batch, int ifindex) {
  tc_htb_glob g{};
  g.version = 3;
  g.rate2quantum = 10;
  g.defcls = 2;
  batch.Start(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, TcObject(ifindex, TC_H_ROOT, 0x10000))
      .Attr(TCA_KIND, "htb")
      .Nest(TCA_OPTIONS, [&] { batch.Attr(TCA_HTB_INIT, g); })
      .End();
}

inline void HtbClass(Batch& batch, int ifindex, uint32_t parent, uint32_t id, uint32_t rate,
                     uint32_t ceil, uint16_t flags) {
  tc_htb_opt q{};
  q.rate.rate = rate;
  q.ceil.rate = ceil;
  q.rate.linklayer = q.ceil.linklayer = TC_LINKLAYER_ETHERNET;
  q.quantum = 60000;
  q.buffer = Ticks(rate / 250.0 + 1600, rate);
  q.cbuffer = Ticks(ceil / 250.0 + 1600, ceil);
  batch.Start(RTM_NEWTCLASS, flags, TcObject(ifindex, parent, id))
      .Attr(TCA_KIND, "htb")
      .Nest(TCA_OPTIONS, [&] { batch.Attr(TCA_HTB_PARMS, q); })
      .End();
}

inline void Leaf(Batch& batch, int ifindex, uint32_t parent, uint32_t handle, uint32_t limit) {
  tc_fifo_qopt q{limit};
  batch.Start(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, TcObject(ifindex, parent, handle))
      .Attr(TCA_KIND, "bfifo")
      .Attr(TCA_OPTIONS, q)
      .End();
}

inline void Clsact(Batch& batch, int ifindex) {
  batch.Start(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, TcObject(ifindex, TC_H_CLSACT, 0xffff0000))
      .Attr(TCA_KIND, "clsact")
      .End();
}

inline void BpfFilter(Batch& batch, int ifindex, uint32_t side, int program) {
  tcmsg t = TcObject(ifindex, TC_H_MAKE(TC_H_CLSACT, side), 1);
  t.tcm_info = TC_H_MAKE(1 << 16, htons(ETH_P_ALL));
  uint32_t flags = TCA_BPF_FLAG_ACT_DIRECT;
  batch.Start(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, t)
      .Attr(TCA_KIND, "bpf")
      .Nest(
          TCA_OPTIONS,
          [&] {
            batch.Attr(TCA_BPF_FD, program).Attr(TCA_BPF_NAME, "floor").Attr(TCA_BPF_FLAGS, flags);
          })
      .End();
}

// `ip link set`: one attribute.
template <class T>
inline void SetLink(Batch& batch, int ifindex, uint16_t attribute, const T& value) {
  ifinfomsg i{};
  i.ifi_index = ifindex;
  batch.Start(RTM_NEWLINK, 0, i).Attr(attribute, value).End();
}

inline void SetUp(Batch& batch, int ifindex) {
  ifinfomsg i{};
  i.ifi_index = ifindex;
  i.ifi_flags = i.ifi_change = IFF_UP;
  batch.Start(RTM_NEWLINK, 0, i).End();
}

// Port data applies to the present master, so it cannot share a message with IFLA_MASTER.
inline void SetPort(Batch& batch, int ifindex, bool hardened) {
  ifinfomsg i{};
  i.ifi_family = AF_BRIDGE;
  i.ifi_index = ifindex;
  uint8_t on = 1, off = 0;
  batch.Start(RTM_SETLINK, 0, i).Nest(IFLA_PROTINFO | NLA_F_NESTED, [&] {
    batch.Attr(IFLA_BRPORT_ISOLATED, on);
    if (!hardened) return;
    batch.Attr(IFLA_BRPORT_LEARNING, off).Attr(IFLA_BRPORT_UNICAST_FLOOD, off);
    batch.Attr(IFLA_BRPORT_MCAST_FLOOD, off).Attr(IFLA_BRPORT_BCAST_FLOOD, off);
  });
  batch.End();
}

inline void Fdb(Batch& batch, int ifindex, const uint8_t (&mac)[6]) {
  ndmsg n{};
  n.ndm_family = AF_BRIDGE;
  n.ndm_ifindex = ifindex;
  n.ndm_state = NUD_NOARP;
  n.ndm_flags = NTF_MASTER;
  batch.Start(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, n).Attr(NDA_LLADDR, mac).End();
}

inline void Neighbor(Batch& batch, uint16_t type, int bridge, uint32_t ip,
                     const uint8_t (&mac)[6]) {
  ndmsg n{};
  n.ndm_family = AF_INET;
  n.ndm_ifindex = bridge;
  n.ndm_state = NUD_PERMANENT;
  uint16_t flags = type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  batch.Start(type, flags, n).Attr(NDA_DST, htonl(ip));
  if (type == RTM_NEWNEIGH) batch.Attr(NDA_LLADDR, mac);
  batch.End();
}

inline void DeleteLink(Batch& batch, int ifindex) {
  ifinfomsg i{};
  i.ifi_index = ifindex;
  batch.Start(RTM_DELLINK, 0, i).End();
}

inline void DeleteGroup(Batch& batch, uint32_t group) {
  ifinfomsg i{};
  batch.Start(RTM_DELLINK, 0, i).Attr(IFLA_GROUP, group).End();
}
