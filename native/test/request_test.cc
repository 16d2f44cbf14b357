// Properties of the requests that a wrong byte in would be dangerous. Every byte is pinned in
// test/encode.
#include "request.h"

#include <doctest/doctest.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <optional>

#include "netlink/attributes.h"

namespace forknet {
namespace {

MessageBuilder Encoded(const Request& request) {
  MessageBuilder builder;
  EncodeRequest(request, Psched(0x3e8, 0x40, 1'000'000), &builder);
  return builder;
}

/** The attribute of a message whose fixed part has `body` bytes, or of a nest when `body` is 0. */
std::optional<Attribute> Find(Bytes bytes, uint16_t type) {
  std::optional<Attribute> found;
  ForEachAttribute(bytes, [&](const Attribute& a) {
    if (a.type == type) found = a;
  });
  return found;
}

Bytes Options(const MessageBuilder& builder) {
  const auto options = Find(builder.All().Skip(NLMSG_HDRLEN + sizeof(tcmsg)), TCA_OPTIONS);
  REQUIRE(options);
  return options->value;
}

ClassHtb Class(uint64_t rate, uint64_t ceil) {
  return {TcVerb::kAdd, 1, 0x10000, 0x10001, rate, ceil, 1600, 1600, 60'000};
}

TEST_CASE("rates from 2^32 on are clamped and repeated in 64 bits") {
  const uint64_t limit = uint64_t{1} << 32;
  const MessageBuilder below = Encoded(Class(limit - 1, limit - 1));
  CHECK_FALSE(Find(Options(below), TCA_HTB_RATE64));
  CHECK_FALSE(Find(Options(below), TCA_HTB_CEIL64));
  CHECK(Find(Options(below), TCA_HTB_PARMS)->As<tc_htb_opt>().rate.rate == 0xffffffff);

  const MessageBuilder above = Encoded(Class(limit - 1, limit));
  CHECK_FALSE(Find(Options(above), TCA_HTB_RATE64));
  REQUIRE(Find(Options(above), TCA_HTB_CEIL64));
  CHECK(Find(Options(above), TCA_HTB_CEIL64)->U64() == limit);
  CHECK(Find(Options(above), TCA_HTB_PARMS)->As<tc_htb_opt>().ceil.rate == 0xffffffff);

  const MessageBuilder tbf =
      Encoded(QdiscTbf{TcVerb::kAdd, 1, 0x10000, std::nullopt, limit, 200'000, 300'000});
  REQUIRE(Find(Options(tbf), TCA_TBF_RATE64));
  CHECK(Find(Options(tbf), TCA_TBF_PARMS)->As<tc_tbf_qopt>().rate.rate == 0xffffffff);
}

TEST_CASE("the quantum is always sent") {
  const MessageBuilder builder = Encoded(Class(1000, 1000));
  CHECK(Find(Options(builder), TCA_HTB_PARMS)->As<tc_htb_opt>().quantum == 60'000);
}

TEST_CASE("verbs are netlink flags") {
  const auto flags = [](TcVerb verb) {
    nlmsghdr header{};
    Encoded(QdiscClsact{verb, 1}).All().Read(&header);
    return header.nlmsg_flags & ~(NLM_F_REQUEST | NLM_F_ACK);
  };
  CHECK(flags(TcVerb::kAdd) == (NLM_F_CREATE | NLM_F_EXCL));
  CHECK(flags(TcVerb::kChange) == 0);
  CHECK(flags(TcVerb::kReplace) == (NLM_F_CREATE | NLM_F_REPLACE));
}

TEST_CASE("the group to delete is in the message") {
  const MessageBuilder builder = Encoded(LinkDeleteGroup{4242});
  const Bytes attributes = builder.All().Skip(NLMSG_HDRLEN + sizeof(ifinfomsg));
  REQUIRE(Find(attributes, IFLA_GROUP));
  CHECK(Find(attributes, IFLA_GROUP)->U32() == 4242);
}

TEST_CASE("an alias at creation is a second message that depends on the first") {
  LinkCreate link;
  link.name = "br0";
  link.kind = "bridge";
  CHECK(Encoded(link).count() == 1);
  link.alias = "x";
  const MessageBuilder builder = Encoded(link);
  REQUIRE(builder.count() == 2);
  CHECK(builder.Follows(1));
  nlmsghdr second{};
  builder.Range(1, 2).Read(&second);
  CHECK((second.nlmsg_flags & NLM_F_CREATE) == 0);
}

TEST_CASE("an empty alias is sent, to clear the one there is") {
  LinkSet link;
  link.ifindex = 1;
  link.alias = "";
  const MessageBuilder builder = Encoded(link);
  const auto alias = Find(builder.All().Skip(NLMSG_HDRLEN + sizeof(ifinfomsg)), IFLA_IFALIAS);
  REQUIRE(alias);
  CHECK(alias->value.size == 0);
}

}  // namespace
}  // namespace forknet
