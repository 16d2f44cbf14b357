// One netlink socket: sends messages, matches acks by sequence number, reads dumps to their
// end. It stays usable after any error: replies to an older request are recognised and dropped.
#ifndef FORKNET_NETLINK_SOCKET_H_
#define FORKNET_NETLINK_SOCKET_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bytes.h"
#include "netlink/attributes.h"
#include "netlink/kernel_error.h"
#include "netlink/message.h"
#include "unique_fd.h"

namespace forknet {

/** What a socket talks to, and its name in errors. */
struct Protocol {
  int number;
  const char* name;
};
constexpr Protocol kRouteProtocol{NETLINK_ROUTE, "NETLINK_ROUTE"};
constexpr Protocol kNetfilterProtocol{NETLINK_NETFILTER, "NETLINK_NETFILTER"};

class Socket {
 public:
  /** Acks wait in the receive buffer until they are read; more than these could overflow it
   * (ENOBUFS). */
  static constexpr size_t kMessagesPerSend = 128;
  /** A dump that a change interrupted (NLM_F_DUMP_INTR) starts again, at most this often. */
  static constexpr int kDumpAttempts = 64;

  /** Opens the socket in the calling thread's network namespace. Throws KernelError. */
  explicit Socket(uint32_t receive_timeout_ms, Protocol protocol = kRouteProtocol);

  /**
   * Sends all messages and reads their acks: one answer per request, a message and those that
   * follow it (MessageBuilder::Then) being one. A refusal does not stop later requests. Throws
   * KernelError when the socket fails or no ack comes in time (ETIMEDOUT); the fate of the messages
   * is then unknown.
   */
  std::vector<Ack> Talk(MessageBuilder* messages);

  /** Sends one request and returns the payload of its one reply. Throws KernelError on a refusal.
   */
  std::vector<uint8_t> Get(MessageBuilder* request, const char* name);

  /**
   * Sends one dump request and parses each reply with `bool parse(Bytes payload, Item*)`; false
   * leaves the reply out. Throws KernelError on a refusal, and EAGAIN after kDumpAttempts
   * interrupted dumps.
   */
  template <class Item, class Parse>
  std::vector<Item> Dump(MessageBuilder* request, const char* name, Parse parse) {
    for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
      std::vector<Item> items;
      const bool whole = DumpOnce(request, name, [&](Bytes payload) {
        Item item;
        if (parse(payload, &item)) items.push_back(std::move(item));
      });
      if (whole) return items;
    }
    throw KernelError(EAGAIN, name, "", "the list kept changing while it was read");
  }

  /** What other sockets hear of what this one causes (nlmsg_pid). */
  uint32_t port() const { return port_; }
  bool closed() const { return !fd_.valid(); }
  void Close() { fd_.Reset(); }

 private:
  void TalkChunk(MessageBuilder* messages, size_t from, size_t to, uint32_t first,
                 std::vector<Ack>* acks);
  bool DumpOnce(MessageBuilder* request, const char* name, const std::function<void(Bytes)>& visit);
  void Drain();
  void Send(Bytes bytes);
  Bytes Receive();
  void Option(int level, int option, const char* name, const void* value, unsigned size);

  /** Throws unless the replies end here: what other bytes said is not known. */
  void RequireEnd(Bytes rest) const;

  Protocol protocol_;
  UniqueFd fd_;
  uint32_t receive_timeout_ms_;
  uint32_t port_ = 0;
  uint32_t sequence_ = 1;
  /** Every reply to the last request was read. */
  bool settled_ = true;
  std::vector<uint8_t> buffer_;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_SOCKET_H_
