// Builds netlink messages, one after the other in one growing buffer, ready for one send().
// It knows headers, attributes and nesting; what they mean is for link.cc, qdisc.cc and the others.
#ifndef FORKNET_NETLINK_MESSAGE_H_
#define FORKNET_NETLINK_MESSAGE_H_

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "bytes.h"

namespace forknet {

/** Flags of a request that changes something: the kernel answers it with an ack. */
constexpr uint16_t kChangeRequest = NLM_F_REQUEST | NLM_F_ACK;
/** Flags of a request for a list. */
constexpr uint16_t kDumpRequest = NLM_F_REQUEST | NLM_F_DUMP;

class MessageBuilder {
 public:
  /** Longest single message; far beyond what any request here needs. */
  static constexpr size_t kMaxMessageBytes = 32768;

  /** Begins a message with its fixed part (ifinfomsg, tcmsg, ...). */
  template <class Body>
  MessageBuilder& Start(uint16_t type, uint16_t flags, const Body& body) {
    static_assert(std::is_trivially_copyable<Body>::value, "only plain kernel structures");
    return StartRaw(type, flags, &body, sizeof body);
  }

  /** Appends an attribute. Throws std::length_error when the message would grow too long. */
  MessageBuilder& AttrRaw(uint16_t type, const void* value, size_t size);

  template <class T>
  MessageBuilder& Attr(uint16_t type, const T& value) {
    static_assert(std::is_trivially_copyable<T>::value && !std::is_pointer<T>::value &&
                      !std::is_same<T, std::string_view>::value,
                  "pass text to Text()");
    return AttrRaw(type, &value, sizeof value);
  }

  /** Text with its closing NUL, as the kernel expects of names and kinds. */
  MessageBuilder& Text(uint16_t type, std::string_view text);

  /** An attribute that holds those which `fill` appends. */
  template <class Fill>
  MessageBuilder& Nest(uint16_t type, Fill fill) {
    const size_t at = buffer_.size();
    AttrRaw(type, nullptr, 0);
    fill();
    CloseNest(at);
    return *this;
  }

  /**
   * The next message completes the one before it: it is sent only when that one was accepted, and
   * the two count as one request with one answer.
   */
  MessageBuilder& Then() {
    next_follows_ = true;
    return *this;
  }

  /** Numbers the messages first, first + 1, ... (nlmsg_seq). */
  void Number(uint32_t first);
  /** Takes NLM_F_ACK from a message: the kernel then answers it only when it refuses. */
  void WithoutAck(size_t index);

  size_t count() const { return starts_.size(); }
  /** Whether message `index` was begun after Then(). */
  bool Follows(size_t index) const { return follows_[index]; }
  /** Messages `from` up to but not including `to`, as they lie in the buffer. */
  Bytes Range(size_t from, size_t to) const;
  Bytes All() const { return {buffer_.data(), buffer_.size()}; }

 private:
  MessageBuilder& StartRaw(uint16_t type, uint16_t flags, const void* body, size_t size);
  void Append(const void* data, size_t size);
  void CloseNest(size_t at);
  void UpdateLength();

  std::vector<uint8_t> buffer_;
  std::vector<size_t> starts_;
  std::vector<bool> follows_;
  bool next_follows_ = false;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_MESSAGE_H_
