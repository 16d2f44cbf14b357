// Generations of nftables' rules: what is read of a message, and of one that is not whole.
#include "generation.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include "netlink/message.h"

namespace forknet {
namespace {

constexpr uint32_t kId = 0x01020304;
constexpr uint32_t kPid = 4242;

Bytes Payload(const MessageBuilder& builder) { return builder.All().Skip(NLMSG_HDRLEN); }

MessageBuilder Told() {
  MessageBuilder message;
  message.Start(kNewGeneration, 0, nfgenmsg{});
  message.Attr(NFTA_GEN_ID, htonl(kId)).Attr(NFTA_GEN_PROC_PID, htonl(kPid));
  message.Text(NFTA_GEN_PROC_NAME, "nft");
  return message;
}

TEST_CASE("a generation tells its number, and the process that made it") {
  const MessageBuilder message = Told();
  Generation generation;
  REQUIRE(ParseGeneration(Payload(message), &generation));
  CHECK(generation.id == kId);
  CHECK(generation.pid == kPid);
  CHECK(generation.process == "nft");
}

TEST_CASE("a generation without a process is one, without a number is none") {
  MessageBuilder bare;
  bare.Start(kNewGeneration, 0, nfgenmsg{}).Attr(NFTA_GEN_ID, htonl(kId));
  Generation generation;
  REQUIRE(ParseGeneration(Payload(bare), &generation));
  CHECK(generation.pid == 0);
  CHECK(generation.process.empty());
  MessageBuilder nameless;
  nameless.Start(kNewGeneration, 0, nfgenmsg{}).Text(NFTA_GEN_PROC_NAME, "nft");
  CHECK_FALSE(ParseGeneration(Payload(nameless), &generation));
  MessageBuilder small;
  small.Start(kNewGeneration, 0, nfgenmsg{}).Attr(NFTA_GEN_ID, uint16_t{1});
  CHECK_FALSE(ParseGeneration(Payload(small), &generation));
}

TEST_CASE("a generation that is cut off is read up to there, and not beyond") {
  const MessageBuilder message = Told();
  const Bytes whole = Payload(message);
  for (size_t size = 0; size < whole.size; size++) {
    const std::vector<uint8_t> part(whole.data, whole.data + size);
    Generation generation;
    const bool is_read = ParseGeneration({part.data(), part.size()}, &generation);
    CHECK(is_read == (size >= 12));
    CHECK(generation.process.empty());
  }
}

}  // namespace
}  // namespace forknet
