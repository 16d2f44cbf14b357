// The message builder: layout, nesting, alignment, numbering, and its limits.
#include "netlink/message.h"

#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <stdexcept>
#include <string>

#include "netlink/attributes.h"

namespace forknet {
namespace {

nlmsghdr Header(Bytes message) {
  nlmsghdr header{};
  REQUIRE(message.Read(&header));
  return header;
}

TEST_CASE("a message carries its header and body") {
  MessageBuilder builder;
  ifinfomsg body{};
  body.ifi_index = 7;
  builder.Start(RTM_NEWLINK, kChangeRequest, body);
  CHECK(builder.count() == 1);
  const nlmsghdr header = Header(builder.All());
  CHECK(header.nlmsg_len == 32);
  CHECK(header.nlmsg_type == RTM_NEWLINK);
  CHECK(header.nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
}

TEST_CASE("values are padded with zeros to four bytes, and their length is not") {
  for (size_t size = 0; size <= 9; size++) {
    CAPTURE(size);
    MessageBuilder builder;
    builder.Start(RTM_NEWLINK, 0, ifinfomsg{});
    const std::string value(size, '\xff');
    builder.AttrRaw(1, value.data(), value.size());
    const size_t padded = (size + 3) / 4 * 4;
    REQUIRE(builder.All().size == 32 + 4 + padded);
    CHECK(Header(builder.All()).nlmsg_len == builder.All().size);
    nlattr attribute{};
    REQUIRE(builder.All().Skip(32).Read(&attribute));
    CHECK(attribute.nla_len == 4 + size);
    for (size_t i = size; i < padded; i++) CHECK(builder.All().data[36 + i] == 0);
  }
}

TEST_CASE("a nest spans what is inside, nests included") {
  MessageBuilder builder;
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{});
  builder.Nest(18 | NLA_F_NESTED, [&] {
    builder.Text(1, "tun");
    builder.Nest(2, [&] { builder.Attr(3, uint8_t{1}); });
  });
  builder.Attr(19, uint32_t{5});
  Bytes rest = builder.All().Skip(32);
  Attribute outer;
  REQUIRE(NextAttribute(&rest, &outer));
  CHECK(outer.type == 18);
  CHECK(outer.value.size == 8 + 4 + 8);
  Attribute kind;
  Bytes inside = outer.value;
  REQUIRE(NextAttribute(&inside, &kind));
  CHECK(kind.Text() == "tun");
  Attribute inner;
  REQUIRE(NextAttribute(&inside, &inner));
  CHECK(inner.value.size == 8);
  Attribute after;
  REQUIRE(NextAttribute(&rest, &after));
  CHECK(after.U32() == 5);
}

TEST_CASE("an empty nest is an attribute of four bytes") {
  MessageBuilder builder;
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{});
  builder.Nest(18, [] {});
  CHECK(builder.All().size == 36);
}

TEST_CASE("text ends in NUL though a string_view does not") {
  MessageBuilder builder;
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{});
  builder.Text(IFLA_IFNAME, std::string_view("tap0xyz").substr(0, 4));
  Bytes rest = builder.All().Skip(32);
  Attribute name;
  REQUIRE(NextAttribute(&rest, &name));
  CHECK(name.value.size == 5);
  CHECK(name.Text() == "tap0");
}

TEST_CASE("messages stand one behind the other and are numbered in order") {
  MessageBuilder builder;
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{}).Attr(1, uint8_t{1});
  builder.Start(RTM_DELLINK, 0, ifinfomsg{});
  builder.Then().Start(RTM_SETLINK, 0, ifinfomsg{});
  builder.Number(0xffffffff);
  REQUIRE(builder.count() == 3);
  CHECK(Header(builder.Range(0, 1)).nlmsg_seq == 0xffffffff);
  CHECK(Header(builder.Range(1, 2)).nlmsg_seq == 0);
  CHECK(Header(builder.Range(1, 2)).nlmsg_type == RTM_DELLINK);
  CHECK(builder.Range(0, 2).size == 40 + 32);
  CHECK(builder.Range(0, 99).size == builder.All().size);
  CHECK(builder.Range(3, 4).size == 0);
  CHECK(builder.Range(1, 1).size == 0);
  CHECK_FALSE(builder.Follows(0));
  CHECK_FALSE(builder.Follows(1));
  CHECK(builder.Follows(2));
}

TEST_CASE("a message that would grow too long is refused, and one of the longest size is not") {
  MessageBuilder builder;
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{});
  const std::string longest(MessageBuilder::kMaxMessageBytes - 32 - 4, 'x');
  CHECK_THROWS_AS(builder.AttrRaw(1, longest.data(), longest.size() + 1), std::length_error);
  CHECK_THROWS_AS(builder.AttrRaw(1, longest.data(), SIZE_MAX), std::length_error);
  CHECK(Header(builder.All()).nlmsg_len == 32);
  builder.AttrRaw(1, longest.data(), longest.size());
  CHECK(Header(builder.All()).nlmsg_len == MessageBuilder::kMaxMessageBytes);
  CHECK_THROWS_AS(builder.AttrRaw(1, nullptr, 0), std::length_error);
  // The limit is the message's, not the buffer's.
  builder.Start(RTM_NEWLINK, 0, ifinfomsg{}).Attr(1, uint32_t{1});
  CHECK(builder.count() == 2);
}

TEST_CASE("an attribute needs a message") {
  MessageBuilder builder;
  CHECK_THROWS_AS(builder.Attr(1, uint8_t{1}), std::logic_error);
}

}  // namespace
}  // namespace forknet
