// Parsers of routes, rules and forwarding entries: what they read from whole replies.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <vector>

#include "dump_ip.h"
#include "netlink/message.h"

namespace forknet {
namespace {

Bytes Payload(const MessageBuilder& builder) { return builder.All().Skip(NLMSG_HDRLEN); }

TEST_CASE("the links of a route with several next hops; none is read beyond the end") {
  const rtnexthop first{sizeof(rtnexthop), 0, 0, 7};
  rtnexthop second{sizeof(rtnexthop), 0, 0, 8};
  for (const bool is_whole : {true, false}) {
    if (!is_whole) second.rtnh_len = sizeof(rtnexthop) + 4;
    const rtnexthop hops[] = {first, second};
    MessageBuilder reply;
    rtmsg header{};
    header.rtm_family = AF_INET;
    reply.Start(RTM_NEWROUTE, 0, header).AttrRaw(RTA_MULTIPATH, hops, sizeof hops);
    RouteInfo route;
    REQUIRE(ParseRoute(Payload(reply), &route));
    CHECK(route.hops == (is_whole ? std::vector<int32_t>{7, 8} : std::vector<int32_t>{7}));
  }
}

TEST_CASE("other families' entries are not IPv4's") {
  MessageBuilder reply;
  ifaddrmsg header{};
  header.ifa_family = AF_INET6;
  reply.Start(RTM_NEWADDR, 0, header);
  AddressInfo address;
  CHECK_FALSE(ParseAddress(Payload(reply), &address));
}

TEST_CASE("a rule tells its table, also one that the header has no room for") {
  MessageBuilder reply;
  fib_rule_hdr header{};
  header.family = AF_INET;
  header.table = 252;  // RT_TABLE_COMPAT
  header.action = FR_ACT_TO_TBL;
  reply.Start(RTM_NEWRULE, 0, header).Attr(FRA_TABLE, uint32_t{51820});
  RuleInfo rule;
  REQUIRE(ParseRule(Payload(reply), &rule));
  CHECK(rule.table == 51820);
  CHECK(rule.action == FR_ACT_TO_TBL);
}

TEST_CASE("forwarding entries of another bridge are left out") {
  MessageBuilder reply;
  ndmsg header{};
  header.ndm_family = PF_BRIDGE;
  reply.Start(RTM_NEWNEIGH, 0, header).Attr(NDA_MASTER, int32_t{4});
  FdbInfo entry;
  CHECK(ParseFdb(Payload(reply), 4, &entry));
  CHECK_FALSE(ParseFdb(Payload(reply), 5, &entry));
}

}  // namespace
}  // namespace forknet
