// Stands between a Socket and the kernel: the linker sends its send(), recvmsg() and recv() here
// (--wrap). While a FakeKernel lives, it answers with what a test has written; otherwise the real
// kernel does, and a test may do something between two of its datagrams.
#ifndef FORKNET_TEST_FAKE_KERNEL_H_
#define FORKNET_TEST_FAKE_KERNEL_H_

#include <linux/netlink.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "netlink/message.h"

namespace forknet {

/** One netlink message; `sequence` and `port` are the request's unless a test wants them alien. */
std::vector<uint8_t> Message(uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port,
                             const std::vector<uint8_t>& payload = {});

/** What one recvmsg() gives: bytes, or an error. */
struct Datagram {
  std::vector<uint8_t> bytes;
  int error = 0;
  /** The sender's address; the kernel's is 0. */
  uint32_t from = 0;
  bool truncated = false;
};

/** A request as it was sent: the header of its first message. */
struct Request {
  uint32_t sequence;
  uint32_t port;
};

class FakeKernel {
 public:
  /** Called for every send; what it returns is received next. Nothing to receive is a time-out. */
  using Answer = std::function<std::vector<Datagram>(const Request&)>;

  explicit FakeKernel(Answer answer);
  ~FakeKernel();
  FakeKernel(const FakeKernel&) = delete;
  FakeKernel& operator=(const FakeKernel&) = delete;

  int sends() const { return sends_; }

  /** For the wrapped calls. */
  void Take(const Request& request);
  bool Next(Datagram* out);

 private:
  Answer answer_;
  int sends_ = 0;
  std::deque<Datagram> waiting_;
};

/** Runs `act` after every datagram that this thread receives from the real kernel. */
class BetweenDatagrams {
 public:
  explicit BetweenDatagrams(std::function<void()> act);
  ~BetweenDatagrams();
  BetweenDatagrams(const BetweenDatagrams&) = delete;
  BetweenDatagrams& operator=(const BetweenDatagrams&) = delete;
};

}  // namespace forknet

#endif  // FORKNET_TEST_FAKE_KERNEL_H_
