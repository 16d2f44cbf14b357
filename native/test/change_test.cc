// What the multicast messages of rtnetlink say, and that alien bytes do no harm.
#include "change.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <random>
#include <vector>

#include "netlink/message.h"
#include "tc_verb.h"

namespace forknet {
namespace {

Reply ReplyOf(const MessageBuilder& message) {
  Bytes rest = message.All();
  Reply reply;
  REQUIRE(NextReply(&rest, &reply));
  return reply;
}

MessageBuilder Link(uint16_t type, uint8_t family, int32_t ifindex) {
  MessageBuilder message;
  ifinfomsg header{};
  header.ifi_family = family;
  header.ifi_index = ifindex;
  header.ifi_flags = IFF_UP;
  message.Start(type, 0, header).Text(IFLA_IFNAME, "tap0").Attr(IFLA_MASTER, int32_t{4});
  return message;
}

TEST_CASE("a link that changed tells what it is like now") {
  const MessageBuilder message = Link(RTM_NEWLINK, AF_UNSPEC, 9);
  Change change;
  REQUIRE(ParseChange(ReplyOf(message), &change));
  CHECK(change.object == ChangedObject::kLink);
  CHECK_FALSE(change.removed);
  CHECK(change.ifindex == 9);
  REQUIRE(change.link);
  CHECK(change.link->name == "tap0");
  CHECK(change.link->master == 4);
  CHECK(change.link->up);
}

TEST_CASE("a TAP tells its open queues, disabled ones too, and how often it got a carrier") {
  MessageBuilder message = Link(RTM_NEWLINK, AF_UNSPEC, 9);
  message.Attr(IFLA_CARRIER_UP_COUNT, uint32_t{4});
  message.Nest(IFLA_LINKINFO, [&] {
    message.Text(IFLA_INFO_KIND, "tun").Nest(IFLA_INFO_DATA, [&] {
      message.Attr(IFLA_TUN_NUM_QUEUES, uint32_t{2});
      message.Attr(IFLA_TUN_NUM_DISABLED_QUEUES, uint32_t{1});
    });
  });
  Change change;
  REQUIRE(ParseChange(ReplyOf(message), &change));
  REQUIRE(change.link);
  REQUIRE(change.link->tun);
  CHECK(change.link->carrier_ups == 4);
  CHECK(change.link->tun->queues == 3U);
}

TEST_CASE("a bridge port that changed tells its flags") {
  MessageBuilder message = Link(RTM_NEWLINK, AF_BRIDGE, 9);
  message.Nest(IFLA_PROTINFO, [&] {
    message.Attr(IFLA_BRPORT_ISOLATED, uint8_t{1}).Attr(IFLA_BRPORT_STATE, uint8_t{2});
  });
  Change change;
  REQUIRE(ParseChange(ReplyOf(message), &change));
  CHECK(change.object == ChangedObject::kPort);
  REQUIRE(change.link);
  REQUIRE(change.link->port);
  CHECK(change.link->port->isolated);
  CHECK(change.link->port->state == 2);
}

TEST_CASE("what is gone is told by its name only") {
  for (const uint8_t family : {AF_UNSPEC, AF_BRIDGE}) {
    Change change;
    REQUIRE(ParseChange(ReplyOf(Link(RTM_DELLINK, family, 9)), &change));
    CHECK(change.removed);
    CHECK(change.ifindex == 9);
    CHECK_FALSE(change.link);
  }
}

TEST_CASE("queues, classes and filters by handle and parent") {
  const struct {
    uint16_t type;
    ChangedObject object;
    bool removed;
  } cases[] = {
      {RTM_NEWQDISC, ChangedObject::kQdisc, false},
      {RTM_DELQDISC, ChangedObject::kQdisc, true},
      {RTM_NEWTCLASS, ChangedObject::kClass, false},
      {RTM_DELTCLASS, ChangedObject::kClass, true},
      {RTM_NEWTFILTER, ChangedObject::kFilter, false},
      {RTM_DELTFILTER, ChangedObject::kFilter, true},
  };
  for (const auto& one : cases) {
    MessageBuilder message;
    message.Start(one.type, 0, TcHeader(3, 0x10001, 0x100a0));
    Change change;
    REQUIRE(ParseChange(ReplyOf(message), &change));
    CHECK(change.object == one.object);
    CHECK(change.removed == one.removed);
    CHECK(change.ifindex == 3);
    CHECK(change.parent == 0x10001);
    CHECK(change.handle == 0x100a0);
  }
}

TEST_CASE("neighbours and forwarding entries") {
  for (const uint8_t family : {AF_INET, AF_BRIDGE, AF_INET6}) {
    MessageBuilder message;
    ndmsg header{};
    header.ndm_family = family;
    header.ndm_ifindex = 5;
    header.ndm_state = NUD_PERMANENT;
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
    message.Start(RTM_DELNEIGH, 0, header).Attr(NDA_DST, htonl(0x0a640007));
    message.AttrRaw(NDA_LLADDR, mac, sizeof mac);
    Change change;
    REQUIRE(ParseChange(ReplyOf(message), &change) == (family != AF_INET6));
    if (family == AF_INET6) continue;
    CHECK(change.removed);
    CHECK(change.ifindex == 5);
    CHECK(change.mac == 0x020000000009);
    CHECK(change.state == NUD_PERMANENT);
    CHECK(change.ip == (family == AF_INET ? 0x0a640007 : 0));
  }
}

TEST_CASE("only a later word about the same link replaces an earlier one") {
  const auto change = [](uint16_t type, int32_t ifindex) {
    Change result;
    REQUIRE(ParseChange(ReplyOf(Link(type, AF_UNSPEC, ifindex)), &result));
    return result;
  };
  CHECK(change(RTM_NEWLINK, 9).Replaces(change(RTM_NEWLINK, 9)));
  CHECK_FALSE(change(RTM_NEWLINK, 9).Replaces(change(RTM_NEWLINK, 8)));
  CHECK_FALSE(change(RTM_DELLINK, 9).Replaces(change(RTM_NEWLINK, 9)));
  CHECK_FALSE(change(RTM_NEWLINK, 9).Replaces(change(RTM_DELLINK, 9)));
}

TEST_CASE("short and alien messages are no changes") {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; i++) {
    std::vector<uint8_t> bytes(random() % 80);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    Reply reply;
    reply.header.nlmsg_type = static_cast<uint16_t>(RTM_BASE + random() % 60);
    reply.payload = {bytes.data(), bytes.size()};
    Change change;
    ParseChange(reply, &change);
  }
  Reply empty;
  empty.header.nlmsg_type = RTM_NEWLINK;
  Change change;
  CHECK_FALSE(ParseChange(empty, &change));
}

}  // namespace
}  // namespace forknet
