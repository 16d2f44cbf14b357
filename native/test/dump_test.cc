// Parsers of dumps: what they read from whole replies, and that truncated and alien bytes do no
// harm.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/gen_stats.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>

#include <memory>
#include <random>
#include <vector>

#include "dump_ip.h"
#include "dump_link.h"
#include "dump_tc.h"
#include "tc_verb.h"

namespace forknet {
namespace {

Psched Clock() { return {0x3e8, 0x40, 1'000'000}; }

Bytes Payload(const MessageBuilder& builder) { return builder.All().Skip(NLMSG_HDRLEN); }

void ParseEverything(Bytes bytes) {
  LinkInfo link;
  ParseLink(bytes, &link);
  QdiscInfo qdisc;
  ParseQdisc(bytes, Clock(), &qdisc);
  ClassInfo entry;
  ParseClass(bytes, Clock(), &entry);
  FilterInfo filter;
  ParseFilter(bytes, &filter);
  AddressInfo address;
  ParseAddress(bytes, &address);
  RouteInfo route;
  ParseRoute(bytes, &route);
  RuleInfo rule;
  ParseRule(bytes, &rule);
  NeighborInfo neighbor;
  ParseNeighbor(bytes, &neighbor);
  FdbInfo fdb;
  ParseFdb(bytes, 1, &fdb);
}

MessageBuilder Tap() {
  MessageBuilder reply;
  ifinfomsg header{};
  header.ifi_index = 9;
  header.ifi_flags = IFF_UP | 1U << 16;
  reply.Start(RTM_NEWLINK, 0, header).Text(IFLA_IFNAME, "tap0").Attr(IFLA_MASTER, int32_t{4});
  reply.Attr(IFLA_MTU, uint32_t{1500}).Attr(IFLA_GROUP, uint32_t{7}).Text(IFLA_IFALIAS, "alias");
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
  reply.AttrRaw(IFLA_ADDRESS, mac, sizeof mac).Attr(IFLA_TXQLEN, uint32_t{500});
  reply.Nest(IFLA_LINKINFO, [&] {
    reply.Text(IFLA_INFO_SLAVE_KIND, "bridge");
    reply.Nest(IFLA_INFO_SLAVE_DATA, [&] {
      reply.Attr(IFLA_BRPORT_STATE, uint8_t{BR_STATE_FORWARDING});
      reply.Attr(IFLA_BRPORT_ISOLATED, uint8_t{1}).Attr(IFLA_BRPORT_LEARNING, uint8_t{0});
      reply.Attr(IFLA_BRPORT_BCAST_FLOOD, uint8_t{1});
    });
    reply.Nest(IFLA_INFO_DATA, [&] {
      reply.Attr(IFLA_TUN_TYPE, uint8_t{IFF_TAP}).Attr(IFLA_TUN_PERSIST, uint8_t{1});
      reply.Attr(IFLA_TUN_OWNER, uint32_t{1000});
    });
    // After its data: the order is not promised.
    reply.Text(IFLA_INFO_KIND, "tun");
  });
  return reply;
}

MessageBuilder Htb(uint64_t rate) {
  MessageBuilder reply;
  tcmsg header = TcHeader(3, 0x10001, 0x100a0);
  header.tcm_info = 0xa00000;
  reply.Start(RTM_NEWTCLASS, 0, header).Text(TCA_KIND, "htb");
  reply.Nest(TCA_OPTIONS, [&] {
    tc_htb_opt parameters{};
    parameters.rate = RateSpec(rate);
    parameters.ceil = RateSpec(1'250'000);
    parameters.buffer = Clock().Ticks(6600, rate);
    parameters.cbuffer = Clock().Ticks(1600, 1'250'000);
    parameters.quantum = 60'000;
    reply.Attr(TCA_HTB_PARMS, parameters);
    if (Needs64(rate)) reply.Attr(TCA_HTB_RATE64, rate);
  });
  reply.Nest(TCA_STATS2, [&] {
    const uint32_t basic[3] = {0x10, 0x1, 5};  // 2^32 + 16 bytes, 5 packets
    reply.AttrRaw(TCA_STATS_BASIC, basic, sizeof basic);
    reply.Attr(TCA_STATS_PKT64, uint64_t{1} << 33);
    const uint32_t queue[5] = {1, 2, 3, 4, 5};
    reply.AttrRaw(TCA_STATS_QUEUE, queue, sizeof queue);
  });
  return reply;
}

MessageBuilder Filter(uint32_t handle) {
  MessageBuilder reply;
  tcmsg header = TcHeader(3, 0xfffffff2, handle);
  header.tcm_info = 5U << 16 | htons(3);
  reply.Start(RTM_NEWTFILTER, 0, header).Text(TCA_KIND, "bpf");
  reply.Nest(TCA_OPTIONS, [&] {
    const uint8_t tag[8] = {0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3};
    reply.Text(TCA_BPF_NAME, "guard").AttrRaw(TCA_BPF_TAG, tag, sizeof tag);
    reply.Attr(TCA_BPF_ID, uint32_t{77}).Attr(TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
    reply.Attr(TCA_BPF_CLASSID, uint32_t{0x10000});
  });
  return reply;
}

TEST_CASE("a TAP on a bridge") {
  const MessageBuilder reply = Tap();
  LinkInfo link;
  REQUIRE(ParseLink(Payload(reply), &link));
  CHECK(link.ifindex == 9);
  CHECK(link.name == "tap0");
  CHECK(link.kind == "tun");
  CHECK(link.master == 4);
  CHECK(link.up);
  CHECK(link.lower_up);
  CHECK_FALSE(link.running);
  CHECK(link.mac == 0x020000000009);
  CHECK(link.mtu == 1500);
  CHECK(link.group == 7);
  CHECK(link.alias == "alias");
  CHECK(link.tx_queue_length == 500);
  REQUIRE(link.port);
  CHECK(link.port->state == BR_STATE_FORWARDING);
  CHECK(link.port->isolated);
  CHECK(link.port->broadcast_flood);
  CHECK_FALSE(link.port->learning);
  REQUIRE(link.tun);
  CHECK(link.tun->tap);
  CHECK(link.tun->persistent);
  CHECK_FALSE(link.tun->multi_queue);
  CHECK(link.tun->owner == 1000U);
  CHECK_FALSE(link.tun->group.has_value());
  CHECK_FALSE(link.bridge);
}

TEST_CASE("what a bridge is set to") {
  MessageBuilder reply;
  reply.Start(RTM_NEWLINK, 0, ifinfomsg{});
  reply.Nest(IFLA_LINKINFO, [&] {
    reply.Text(IFLA_INFO_KIND, "bridge");
    reply.Nest(IFLA_INFO_DATA, [&] {
      reply.Attr(IFLA_BR_STP_STATE, uint32_t{1}).Attr(IFLA_BR_FORWARD_DELAY, uint32_t{1500});
      reply.Attr(IFLA_BR_VLAN_FILTERING, uint8_t{1});
      reply.Attr(IFLA_BR_VLAN_DEFAULT_PVID, uint16_t{4094});
    });
  });
  LinkInfo link;
  REQUIRE(ParseLink(Payload(reply), &link));
  REQUIRE(link.bridge);
  CHECK(link.bridge->stp_state == 1);
  CHECK(link.bridge->forward_delay_ms == 15'000);
  CHECK(link.bridge->vlan_filtering);
  CHECK(link.bridge->default_vlan == uint16_t{4094});
}

TEST_CASE("a link's settings of IPv4, as far as the kernel sends them") {
  for (const size_t count : {0, 1, 33}) {
    MessageBuilder reply;
    std::vector<uint32_t> settings(count, 0);
    if (count > 0) settings[IPV4_DEVCONF_FORWARDING - 1] = 1;
    if (count > 1) settings[IPV4_DEVCONF_SEND_REDIRECTS - 1] = 1;
    reply.Start(RTM_NEWLINK, 0, ifinfomsg{});
    reply.Nest(IFLA_AF_SPEC, [&] {
      reply.Nest(AF_INET, [&] {
        reply.AttrRaw(IFLA_INET_CONF, settings.data(), settings.size() * sizeof(uint32_t));
      });
    });
    LinkInfo link;
    REQUIRE(ParseLink(Payload(reply), &link));
    CHECK(link.forwarding == (count > 0));
    CHECK(link.send_redirects == (count > 1));
  }
}

TEST_CASE("filters that the kernel does not apply") {
  const MessageBuilder reply = Tap();
  LinkInfo link;
  REQUIRE(ParseLink(Payload(reply), &link));
  CHECK(LinkFilter{}.Admits(link));
  CHECK(LinkFilter{4, "tun"}.Admits(link));
  CHECK_FALSE(LinkFilter{0, std::nullopt}.Admits(link));
  CHECK_FALSE(LinkFilter{std::nullopt, "ifb"}.Admits(link));
}

TEST_CASE("a class, its leaf and its counters") {
  for (const uint64_t rate : {uint64_t{1'250'000}, uint64_t{12'500'000'000}}) {
    const MessageBuilder reply = Htb(rate);
    ClassInfo entry;
    REQUIRE(ParseClass(Payload(reply), Clock(), &entry));
    CHECK(entry.rate == rate);
    CHECK(entry.ceil == 1'250'000);
    CHECK(entry.leaf == 0xa00000);
    CHECK(entry.quantum_bytes == 60'000);
    CHECK(entry.burst_bytes >= 6600);
    CHECK(entry.burst_bytes <= 6600 + rate / 15'625'000 + 1);
    CHECK(entry.stats.bytes == (uint64_t{1} << 32) + 16);
    CHECK(entry.stats.packets == uint64_t{1} << 33);
    CHECK(entry.stats.queue_length == 1);
    CHECK(entry.stats.backlog_bytes == 2);
    CHECK(entry.stats.drops == 3);
    CHECK(entry.stats.overlimits == 5);
  }
}

TEST_CASE("a filter; the entry of its priority is none") {
  const MessageBuilder reply = Filter(1);
  FilterInfo filter;
  REQUIRE(ParseFilter(Payload(reply), &filter));
  CHECK(filter.priority == 5);
  CHECK(filter.protocol == 3);
  REQUIRE(filter.bpf);
  CHECK(filter.bpf->name == "guard");
  CHECK(filter.bpf->tag == "deadbeef00010203");
  CHECK(filter.bpf->program_id == 77);
  CHECK(filter.bpf->direct_action);
  CHECK(filter.bpf->classid == 0x10000);
  const MessageBuilder head = Filter(0);
  FilterInfo none;
  CHECK_FALSE(ParseFilter(Payload(head), &none));
}

TEST_CASE("a filter that redirects; one that mirrors does not") {
  for (const int32_t eaction : {TCA_EGRESS_REDIR, TCA_EGRESS_MIRROR}) {
    MessageBuilder reply;
    tc_mirred mirred{};
    mirred.eaction = eaction;
    mirred.ifindex = 20;
    reply.Start(RTM_NEWTFILTER, 0, TcHeader(3, 0xfffffff2, 1)).Text(TCA_KIND, "bpf");
    reply.Nest(TCA_OPTIONS, [&] {
      reply.Nest(TCA_BPF_ACT, [&] {
        reply.Nest(1, [&] {
          reply.Text(TCA_ACT_KIND, "mirred");
          reply.Nest(TCA_ACT_OPTIONS, [&] { reply.Attr(TCA_MIRRED_PARMS, mirred); });
        });
      });
    });
    FilterInfo filter;
    REQUIRE(ParseFilter(Payload(reply), &filter));
    REQUIRE(filter.bpf);
    CHECK(filter.bpf->redirect_ifindex.value_or(0) == (eaction == TCA_EGRESS_REDIR ? 20U : 0U));
    CHECK_FALSE(filter.bpf->direct_action);
  }
}

TEST_CASE("replies cut at every length are safe to parse") {
  for (const MessageBuilder& reply : {Tap(), Htb(1), Htb(uint64_t{1} << 40), Filter(1)}) {
    const Bytes whole = Payload(reply);
    for (size_t size = 0; size <= whole.size; size++) {
      const auto copy = std::make_unique<uint8_t[]>(size);
      if (size) std::memcpy(copy.get(), whole.data, size);
      ParseEverything({copy.get(), size});
    }
  }
  LinkInfo link;
  CHECK_FALSE(ParseLink({}, &link));
}

TEST_CASE("alien bytes are safe to parse") {
  std::mt19937 random(1);  // NOLINT(cert-msc*): the same bytes in every run
  for (int round = 0; round < 20'000; round++) {
    const MessageBuilder reply = round % 2 ? Tap() : Htb(uint64_t{1} << 40);
    const Bytes whole = Payload(reply);
    REQUIRE(whole.size > 0);
    const auto copy = std::make_unique<uint8_t[]>(whole.size);
    std::memcpy(copy.get(), whole.data, whole.size);
    for (int i = 0; i < 8; i++) copy[random() % whole.size] = static_cast<uint8_t>(random());
    ParseEverything({copy.get(), whole.size});
  }
}

}  // namespace
}  // namespace forknet
