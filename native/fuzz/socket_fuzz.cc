// The socket against a kernel that answers with any datagrams: it must return or throw, and must
// not take a request for answered that was not. The linker puts the functions below in the place of
// libc's (--wrap).
#include "netlink/socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "dump_link.h"
#include "fuzz/expect.h"
#include "fuzz/script.h"
#include "request.h"

namespace {

using forknet::Bytes;
using forknet::Expect;

/** What the kernel has still to say, and by sequence number what it was sent and said. */
struct Kernel {
  Bytes script;
  std::set<uint32_t> sent_last;
  std::set<uint32_t> unanswered;
  std::set<uint32_t> refused;
};
Kernel kernel;

void NoteAnswers(Bytes datagram) {
  for (forknet::Reply reply; forknet::NextReply(&datagram, &reply);) {
    if (reply.header.nlmsg_pid != forknet::kScriptPort) continue;
    if (reply.header.nlmsg_type != NLMSG_ERROR) continue;
    kernel.unanswered.erase(reply.header.nlmsg_seq);
    int32_t error = 0;
    reply.payload.Read(&error);
    // The kernel is done with one send() before it takes the next.
    const bool counts = kernel.sent_last.count(reply.header.nlmsg_seq) != 0;
    if (error != 0 && counts) kernel.refused.insert(reply.header.nlmsg_seq);
  }
}

forknet::MessageBuilder Changes(uint8_t shape) {
  forknet::MessageBuilder messages;
  const int count = 1 + shape % 8;
  for (int i = 0; i < count; i++) {
    // A bit of its own for each says whether it completes the one before it.
    if (i > 0 && (shape >> 3 & 1 << i % 5)) messages.Then();
    Encode(forknet::LinkDelete{i + 1}, &messages);
  }
  return messages;
}

void Call(uint8_t call, uint8_t shape) {
  forknet::Socket socket(1000);
  forknet::MessageBuilder request;
  if (call % forknet::kScriptCalls == forknet::kScriptTalk) {
    request = Changes(shape);
    size_t requests = 0;
    for (size_t i = 0; i < request.count(); i++) requests += request.Follows(i) ? 0 : 1;
    const std::vector<forknet::Ack> acks = socket.Talk(&request);
    Expect(acks.size() == requests, "there is one answer a request");
    Expect(kernel.unanswered.empty(), "every message that asked for an answer had one");
    size_t answer = 0;
    for (size_t i = 0; i < request.count(); i++) {
      if (i > 0 && !request.Follows(i)) answer++;
      // Messages are numbered from 1. What follows a refused one is not sent.
      const bool refused = kernel.refused.count(static_cast<uint32_t>(i + 1)) != 0;
      Expect(!refused || acks[answer].error != 0, "a refusal is told");
    }
  } else if (call % forknet::kScriptCalls == forknet::kScriptGet) {
    forknet::EncodeLinkGet(shape, &request);
    const std::vector<uint8_t> reply = socket.Get(&request, "RTM_GETLINK");
    forknet::LinkInfo link;
    forknet::ParseLink({reply.data(), reply.size()}, &link);
  } else {
    forknet::EncodeLinkDump({}, &request);
    socket.Dump<forknet::LinkInfo>(&request, "RTM_GETLINK", forknet::ParseLink);
  }
}

}  // namespace

extern "C" {

// What the linker puts in the place of libc's (--wrap).
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
int __wrap_socket(int /*domain*/, int /*type*/, int /*protocol*/) {
  return open("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_setsockopt(int, int, int, const void*, socklen_t) { return 0; }

int __wrap_bind(int, const sockaddr*, socklen_t) { return 0; }

int __wrap_getsockname(int /*fd*/, sockaddr* address, socklen_t* /*size*/) {
  reinterpret_cast<sockaddr_nl*>(address)->nl_pid = forknet::kScriptPort;
  return 0;
}

ssize_t __wrap_send(int /*fd*/, const void* bytes, size_t size, int /*flags*/) {
  Bytes rest{static_cast<const uint8_t*>(bytes), size};
  kernel.sent_last.clear();
  for (forknet::Reply message; forknet::NextReply(&rest, &message);) {
    kernel.sent_last.insert(message.header.nlmsg_seq);
    const bool wants_answer = (message.header.nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) != 0;
    if (wants_answer) kernel.unanswered.insert(message.header.nlmsg_seq);
  }
  Expect(rest.size == 0, "only whole messages are sent");
  return static_cast<ssize_t>(size);
}

ssize_t __wrap_recvmsg(int /*fd*/, msghdr* message, int /*flags*/) {
  Bytes datagram;
  if (!forknet::NextDatagram(&kernel.script, &datagram)) {
    errno = EAGAIN;  // What SO_RCVTIMEO ends in.
    return -1;
  }
  const iovec& part = message->msg_iov[0];
  const size_t size = std::min(datagram.size, part.iov_len);
  if (size) std::memcpy(part.iov_base, datagram.data, size);
  message->msg_flags = size < datagram.size ? MSG_TRUNC : 0;
  message->msg_namelen = sizeof(sockaddr_nl);
  NoteAnswers(datagram);
  return static_cast<ssize_t>(size);
}

ssize_t __wrap_recv(int, void*, size_t, int) {
  errno = EAGAIN;
  return -1;
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  kernel = {{data + 2, size - 2}, {}, {}, {}};
  try {
    Call(data[0], data[1]);
  } catch (const forknet::KernelError& error) {
    // Allowed at any point: the fate of what was sent is then unknown.
    Expect(error.error() > 0, "an error has a number");
  }
  return 0;
}
}
