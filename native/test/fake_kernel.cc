// The wrapped system calls, and the fake that answers them.
#include "fake_kernel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace forknet {
namespace {

// A thread's own: the test against the real kernel runs in a thread of its own.
thread_local FakeKernel* fake = nullptr;
thread_local std::function<void()>* between = nullptr;

}  // namespace

std::vector<uint8_t> Message(uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port,
                             const std::vector<uint8_t>& payload) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  header.nlmsg_pid = port;
  std::vector<uint8_t> bytes(NLMSG_ALIGN(header.nlmsg_len));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::copy(payload.begin(), payload.end(), bytes.begin() + NLMSG_HDRLEN);
  return bytes;
}

FakeKernel::FakeKernel(Answer answer) : answer_(std::move(answer)) { fake = this; }
FakeKernel::~FakeKernel() { fake = nullptr; }

void FakeKernel::Take(const Request& request) {
  sends_++;
  for (Datagram& datagram : answer_(request)) waiting_.push_back(std::move(datagram));
}

bool FakeKernel::Next(Datagram* out) {
  if (waiting_.empty()) return false;
  *out = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

BetweenDatagrams::BetweenDatagrams(std::function<void()> act) {
  between = new std::function<void()>(std::move(act));
}
BetweenDatagrams::~BetweenDatagrams() { delete std::exchange(between, nullptr); }

namespace {

/** The next datagram into `data`: its size, or -1 with errno. */
ssize_t Deliver(void* data, size_t size, uint32_t* from, bool* truncated) {
  Datagram datagram;
  if (!fake->Next(&datagram)) datagram.error = EAGAIN;
  if (datagram.error) {
    errno = datagram.error;
    return -1;
  }
  const size_t fits = std::min(size, datagram.bytes.size());
  if (fits) std::memcpy(data, datagram.bytes.data(), fits);
  *from = datagram.from;
  *truncated = datagram.truncated || fits < datagram.bytes.size();
  return static_cast<ssize_t>(fits);
}

}  // namespace
}  // namespace forknet

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names.
ssize_t __real_send(int fd, const void* data, size_t size, int flags);
ssize_t __real_recvmsg(int fd, msghdr* message, int flags);
ssize_t __real_recv(int fd, void* data, size_t size, int flags);

ssize_t __wrap_send(int fd, const void* data, size_t size, int flags) {
  using forknet::fake;
  if (!fake) return __real_send(fd, data, size, flags);
  sockaddr_nl own{};
  socklen_t length = sizeof own;
  getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length);
  nlmsghdr header{};
  std::memcpy(&header, data, sizeof header);
  fake->Take({header.nlmsg_seq, own.nl_pid});
  return static_cast<ssize_t>(size);
}

ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags) {
  using forknet::between;
  using forknet::fake;
  if (!fake) {
    const ssize_t size = __real_recvmsg(fd, message, flags);
    // What is done there receives acks of its own.
    if (auto* act = std::exchange(between, nullptr)) {
      (*act)();
      between = act;
    }
    return size;
  }
  uint32_t from = 0;
  bool truncated = false;
  const iovec& part = message->msg_iov[0];
  const ssize_t size = forknet::Deliver(part.iov_base, part.iov_len, &from, &truncated);
  if (size < 0) return size;
  sockaddr_nl sender{};
  sender.nl_family = AF_NETLINK;
  sender.nl_pid = from;
  std::memcpy(message->msg_name, &sender, sizeof sender);
  message->msg_namelen = sizeof sender;
  message->msg_flags = truncated ? MSG_TRUNC : 0;
  return size;
}

ssize_t __wrap_recv(int fd, void* data, size_t size, int flags) {
  if (!forknet::fake) return __real_recv(fd, data, size, flags);
  uint32_t from = 0;
  bool truncated = false;
  return forknet::Deliver(data, size, &from, &truncated);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

}  // extern "C"
