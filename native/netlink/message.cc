// Layout of netlink messages: everything starts on a multiple of four, and lengths include the
// padding between attributes but, for one attribute, not the padding behind its value.
#include "netlink/message.h"

#include <cstring>
#include <stdexcept>

namespace forknet {
namespace {

static_assert(NLMSG_ALIGNTO == 4 && NLA_ALIGNTO == 4, "Append() pads to four");
constexpr size_t kInitialBytes = 4096;

size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

}  // namespace

void MessageBuilder::Append(const void* data, size_t size) {
  const size_t at = buffer_.size();
  buffer_.resize(at +
                 Aligned(size));  // Padding is zero: it goes to the kernel and into golden files.
  if (size) std::memcpy(buffer_.data() + at, data, size);
}

void MessageBuilder::UpdateLength() {
  const auto length = static_cast<uint32_t>(buffer_.size() - starts_.back());
  std::memcpy(buffer_.data() + starts_.back() + offsetof(nlmsghdr, nlmsg_len), &length,
              sizeof length);
}

MessageBuilder& MessageBuilder::StartRaw(uint16_t type, uint16_t flags, const void* body,
                                         size_t size) {
  if (buffer_.capacity() == 0) buffer_.reserve(kInitialBytes);
  starts_.push_back(buffer_.size());
  follows_.push_back(next_follows_);
  next_follows_ = false;
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  Append(&header, sizeof header);
  Append(body, size);
  UpdateLength();
  return *this;
}

MessageBuilder& MessageBuilder::AttrRaw(uint16_t type, const void* value, size_t size) {
  if (starts_.empty()) throw std::logic_error("an attribute before any message");
  const size_t used = buffer_.size() - starts_.back();
  if (size > kMaxMessageBytes || used + NLA_HDRLEN + Aligned(size) > kMaxMessageBytes) {
    throw std::length_error("a netlink message would exceed 32768 bytes");
  }
  nlattr header{};
  header.nla_type = type;
  header.nla_len = static_cast<uint16_t>(NLA_HDRLEN + size);
  Append(&header, sizeof header);
  Append(value, size);
  UpdateLength();
  return *this;
}

MessageBuilder& MessageBuilder::Text(uint16_t type, std::string_view text) {
  // string_view need not end in NUL; the attribute must.
  std::vector<char> value(text.begin(), text.end());
  value.push_back('\0');
  return AttrRaw(type, value.data(), value.size());
}

void MessageBuilder::CloseNest(size_t at) {
  const auto length = static_cast<uint16_t>(buffer_.size() - at);
  std::memcpy(buffer_.data() + at + offsetof(nlattr, nla_len), &length, sizeof length);
}

void MessageBuilder::Number(uint32_t first) {
  for (const size_t start : starts_) {
    std::memcpy(buffer_.data() + start + offsetof(nlmsghdr, nlmsg_seq), &first, sizeof first);
    first++;
  }
}

void MessageBuilder::WithoutAck(size_t index) {
  uint8_t* at = buffer_.data() + starts_[index] + offsetof(nlmsghdr, nlmsg_flags);
  uint16_t flags;
  std::memcpy(&flags, at, sizeof flags);
  flags &= static_cast<uint16_t>(~NLM_F_ACK);
  std::memcpy(at, &flags, sizeof flags);
}

Bytes MessageBuilder::Range(size_t from, size_t to) const {
  if (from >= to || from >= starts_.size()) return {};
  const size_t end = to < starts_.size() ? starts_[to] : buffer_.size();
  return {buffer_.data() + starts_[from], end - starts_[from]};
}

}  // namespace forknet
