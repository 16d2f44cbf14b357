// Reading replies: attributes, messages and acks, whole, truncated and lying about their length.
#include "netlink/attributes.h"

#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <memory>
#include <vector>

namespace forknet {
namespace {

/** A copy on the heap of exactly this size, so that the sanitizer sees a read beyond it. */
class Exact {
 public:
  explicit Exact(const std::vector<uint8_t>& bytes)
      : size_(bytes.size()), data_(std::make_unique<uint8_t[]>(size_)) {
    if (size_) std::memcpy(data_.get(), bytes.data(), size_);
  }
  Bytes bytes() const { return {data_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<uint8_t[]> data_;
};

size_t Count(Bytes bytes) {
  size_t count = 0;
  ForEachAttribute(bytes, [&](const Attribute&) { count++; });
  return count;
}

TEST_CASE("the walk ends at what is truncated or malformed") {
  CHECK(Count({}) == 0);
  CHECK(Count(Exact({1, 2, 3}).bytes()) == 0);
  // Length below a header's, and beyond the end.
  CHECK(Count(Exact({0, 0, 1, 0}).bytes()) == 0);
  CHECK(Count(Exact({3, 0, 1, 0}).bytes()) == 0);
  CHECK(Count(Exact({8, 0, 1, 0, 1, 2, 3}).bytes()) == 0);
  CHECK(Count(Exact({4, 0, 1, 0}).bytes()) == 1);
  // The last attribute may lack its padding.
  CHECK(Count(Exact({5, 0, 1, 0, 9}).bytes()) == 1);
  CHECK(Count(Exact({5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0}).bytes()) == 2);
}

TEST_CASE("flags are not part of the type") {
  const Exact exact({4, 0, 18, 0xc0});
  Bytes rest = exact.bytes();
  Attribute attribute;
  REQUIRE(NextAttribute(&rest, &attribute));
  CHECK(attribute.type == 18);
}

TEST_CASE("values that are too short read as zero") {
  const Exact exact({1, 2, 3});
  const Attribute attribute{1, exact.bytes()};
  CHECK(attribute.U8() == 1);
  CHECK(attribute.U32() == 0);
  CHECK(attribute.U64() == 0);
  CHECK(attribute.Ipv4() == 0);
  CHECK(attribute.Mac() == 0);
  CHECK(Attribute{}.U8() == 0);
}

TEST_CASE("addresses are read in network byte order") {
  const Exact ip({10, 0, 0, 1});
  CHECK(Attribute{1, ip.bytes()}.Ipv4() == 0x0a000001);
  const Exact mac({2, 0, 10, 0, 0, 1});
  CHECK(Attribute{1, mac.bytes()}.Mac() == 0x02000a000001);
  const Exact infiniband(std::vector<uint8_t>(20, 1));
  CHECK(Attribute{1, infiniband.bytes()}.Mac() == 0);
}

TEST_CASE("text ends at NUL or at the end") {
  const Exact closed({'t', 'u', 'n', 0, 'x'});
  CHECK(Attribute{1, closed.bytes()}.Text() == "tun");
  const Exact open({'t', 'u', 'n'});
  CHECK(Attribute{1, open.bytes()}.Text() == "tun");
  CHECK(Attribute{}.Text().empty());
}

std::vector<uint8_t> ErrorMessage(uint16_t flags, int32_t error, std::vector<uint8_t> tail) {
  nlmsghdr header{};
  header.nlmsg_type = NLMSG_ERROR;
  header.nlmsg_flags = flags;
  nlmsgerr body{};
  body.error = error;
  body.msg.nlmsg_len = 32;
  header.nlmsg_len = static_cast<uint32_t>(sizeof header + sizeof body + tail.size());
  std::vector<uint8_t> bytes(sizeof header + sizeof body);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

Ack Parsed(const std::vector<uint8_t>& bytes) {
  const Exact exact(bytes);
  Bytes rest = exact.bytes();
  Reply reply;
  REQUIRE(NextReply(&rest, &reply));
  Ack ack;
  REQUIRE(ParseAck(reply, &ack));
  return ack;
}

TEST_CASE("an ack is an error of zero; a refusal carries the kernel's words") {
  CHECK(Parsed(ErrorMessage(NLM_F_CAPPED, 0, {})).error == 0);
  const std::vector<uint8_t> text = {7, 0, NLMSGERR_ATTR_MSG, 0, 'n', 'o', 0};
  const Ack capped = Parsed(ErrorMessage(NLM_F_CAPPED | NLM_F_ACK_TLVS, -EBUSY, text));
  CHECK(capped.error == EBUSY);
  CHECK(capped.text == "no");
  // Not capped: the refused message's 16 bytes of payload come first.
  std::vector<uint8_t> whole(16, 0xff);
  whole.insert(whole.end(), text.begin(), text.end());
  CHECK(Parsed(ErrorMessage(NLM_F_ACK_TLVS, -EBUSY, whole)).text == "no");
  CHECK(Parsed(ErrorMessage(NLM_F_ACK_TLVS, -EBUSY, {1, 2})).text.empty());
  CHECK(Parsed(ErrorMessage(0, -EBUSY, text)).text.empty());
}

TEST_CASE("an error number that no kernel sends becomes EIO and never success") {
  CHECK(Parsed(ErrorMessage(0, 5, {})).error == EIO);
  CHECK(Parsed(ErrorMessage(0, INT32_MIN, {})).error == EIO);
  CHECK(Parsed(ErrorMessage(0, -4095, {})).error == 4095);
}

TEST_CASE("a truncated error message is no ack") {
  const std::vector<uint8_t> whole = ErrorMessage(0, -EBUSY, {});
  for (size_t size = 0; size < whole.size(); size++) {
    std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (size >= sizeof(nlmsghdr)) {
      const auto length = static_cast<uint32_t>(size);
      std::memcpy(cut.data(), &length, sizeof length);
    }
    const Exact exact(cut);
    Bytes rest = exact.bytes();
    Reply reply;
    Ack ack;
    CHECK((!NextReply(&rest, &reply) || !ParseAck(reply, &ack)));
  }
}

TEST_CASE("the end of a dump tells whether it succeeded") {
  Reply reply;
  CHECK(ParseDone(reply).error == 0);
  const int32_t failed = -ENODEV;
  std::vector<uint8_t> bytes(sizeof failed);
  std::memcpy(bytes.data(), &failed, sizeof failed);
  const std::vector<uint8_t> text = {6, 0, NLMSGERR_ATTR_MSG, 0, 'x', 0};
  bytes.insert(bytes.end(), text.begin(), text.end());
  const Exact exact(bytes);
  reply.payload = exact.bytes();
  CHECK(ParseDone(reply).error == ENODEV);
  CHECK(ParseDone(reply).text.empty());
  reply.header.nlmsg_flags = NLM_F_ACK_TLVS;
  CHECK(ParseDone(reply).text == "x");
  // Some dumps end with a positive number; it is no error.
  const Exact positive({7, 0, 0, 0});
  reply.payload = positive.bytes();
  CHECK(ParseDone(reply).error == 0);
}

TEST_CASE("a message may not claim more than there is, or less than its header") {
  for (const uint32_t length : {0U, 15U, 17U, 0xffffffffU}) {
    std::vector<uint8_t> bytes(16);
    std::memcpy(bytes.data(), &length, sizeof length);
    const Exact exact(bytes);
    Bytes rest = exact.bytes();
    Reply reply;
    CHECK_FALSE(NextReply(&rest, &reply));
  }
}

}  // namespace
}  // namespace forknet
