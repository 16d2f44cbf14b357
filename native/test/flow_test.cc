// Flows of connection tracking: what is read of a listed one, and what a deletion says.
#include "flow.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "fake_kernel.h"
#include "netlink/attributes.h"

namespace forknet {
namespace {

constexpr uint32_t kGuest = 0x0a640007;
constexpr uint32_t kInternet = 0xc0000209;
constexpr uint32_t kUplink = 0xc0000201;
constexpr uint16_t kListed = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
constexpr uint16_t kDeletion = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;

void Tuple(uint16_t type, uint32_t source, uint32_t destination, MessageBuilder* out) {
  out->Nest(type | NLA_F_NESTED, [&] {
    out->Nest(CTA_TUPLE_IP | NLA_F_NESTED, [&] {
      out->Attr(CTA_IP_V4_SRC, htonl(source)).Attr(CTA_IP_V4_DST, htonl(destination));
    });
    out->Nest(CTA_TUPLE_PROTO | NLA_F_NESTED, [&] { out->Attr(CTA_PROTO_NUM, uint8_t{17}); });
  });
}

/** A masqueraded flow of the guest, as the kernel lists it. */
MessageBuilder Listed(uint32_t id) {
  MessageBuilder reply;
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  reply.Start(kListed, NLM_F_MULTI, header);
  Tuple(CTA_TUPLE_ORIG, kGuest, kInternet, &reply);
  Tuple(CTA_TUPLE_REPLY, kInternet, kUplink, &reply);
  reply.Attr(CTA_ID, htonl(id)).Attr(CTA_ZONE, htons(7));
  return reply;
}

IsForgotten AnyOf(const std::unordered_set<uint32_t>& ips) {
  return [ips](uint32_t ip) { return ips.count(ip) != 0; };
}

Bytes Payload(const MessageBuilder& builder) { return builder.All().Skip(NLMSG_HDRLEN); }

std::vector<uint8_t> PayloadOf(const MessageBuilder& builder) {
  const Bytes bytes = Payload(builder);
  return {bytes.data, bytes.data + bytes.size};
}

std::vector<uint8_t> Refusal(int error) {
  nlmsgerr refusal{};
  refusal.error = -error;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&refusal);
  return {bytes, bytes + sizeof refusal};
}

TEST_CASE("a flow is an address's that is the source of its first packet or of the answers") {
  const MessageBuilder reply = Listed(5);
  Flow flow;
  CHECK(ParseFlow(Payload(reply), AnyOf({kGuest}), &flow));
  CHECK(ParseFlow(Payload(reply), AnyOf({kInternet}), &flow));
  CHECK(ParseFlow(Payload(reply), AnyOf({kUplink, kGuest}), &flow));
  CHECK_FALSE(ParseFlow(Payload(reply), AnyOf({kUplink}), &flow));
  CHECK_FALSE(ParseFlow(Payload(reply), AnyOf({}), &flow));
}

TEST_CASE("a deletion names tuple, id and zone as they were listed") {
  const MessageBuilder reply = Listed(5);
  Flow flow;
  REQUIRE(ParseFlow(Payload(reply), AnyOf({kGuest}), &flow));
  MessageBuilder deletion;
  EncodeFlowDelete(flow, &deletion);
  Reply message;
  Bytes rest = deletion.All();
  REQUIRE(NextReply(&rest, &message));
  CHECK(message.header.nlmsg_type == kDeletion);
  MessageBuilder expected;
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  expected.Start(kDeletion, kChangeRequest, header);
  Tuple(CTA_TUPLE_ORIG, kGuest, kInternet, &expected);
  expected.Attr(CTA_ID, htonl(5)).Attr(CTA_ZONE, htons(7));
  CHECK(PayloadOf(deletion) == PayloadOf(expected));
}

TEST_CASE("a flow cut at every length is safe to parse") {
  const MessageBuilder reply = Listed(5);
  const Bytes whole = Payload(reply);
  for (size_t size = 0; size <= whole.size; size++) {
    const auto copy = std::make_unique<uint8_t[]>(size);
    if (size) std::memcpy(copy.get(), whole.data, size);
    Flow flow;
    ParseFlow({copy.get(), size}, AnyOf({kGuest}), &flow);
  }
}

/** Lists one flow on the original side, none on the other, and answers the deletion with `error`.
 */
std::vector<Datagram> Answer(int request, const Request& asked, int error) {
  if (request == 2)
    return {{Message(NLMSG_ERROR, NLM_F_CAPPED, asked.sequence, asked.port, Refusal(error))}};
  std::vector<uint8_t> done =
      Message(NLMSG_DONE, NLM_F_MULTI, asked.sequence, asked.port, {0, 0, 0, 0});
  if (request == 1) return {{done}};
  std::vector<uint8_t> listed =
      Message(kListed, NLM_F_MULTI, asked.sequence, asked.port, PayloadOf(Listed(5)));
  listed.insert(listed.end(), done.begin(), done.end());
  return {{listed}};
}

size_t ForgetWith(int error) {
  int requests = 0;
  FakeKernel kernel([&](const Request& asked) { return Answer(requests++, asked, error); });
  Socket socket(20, kNetfilterProtocol);
  const size_t forgotten = ForgetFlows({kGuest}, &socket);
  CHECK(requests == 3);
  return forgotten;
}

TEST_CASE("of a subnet's addresses those are forgotten that are not kept") {
  const auto forgotten = [](const std::unordered_set<uint32_t>& kept, uint32_t network) {
    int requests = 0;
    FakeKernel kernel([&](const Request& asked) {
      // One list of all, then the deletion of what was listed.
      return requests++ == 0 ? Answer(0, asked, 0) : Answer(2, asked, 0);
    });
    Socket socket(20, kNetfilterProtocol);
    return ForgetFlowsBut(kept, network, 0xffff0000, &socket);
  };
  CHECK(forgotten({}, 0x0a640000) == 1);
  CHECK(forgotten({kGuest}, 0x0a640000) == 0);
  CHECK(forgotten({kGuest + 1}, 0x0a640000) == 1);
  CHECK(forgotten({}, 0x0a650000) == 0);
}

TEST_CASE("what has ended by itself meanwhile is no failure, and a refusal is one") {
  CHECK(ForgetWith(0) == 1);
  CHECK(ForgetWith(ENOENT) == 0);
  CHECK_THROWS_AS(ForgetWith(EPERM), KernelError);
}

}  // namespace
}  // namespace forknet
