// Sending, receiving and matching on a netlink socket.
#include "netlink/socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>

namespace forknet {
namespace {

// The kernel fills datagrams of up to 32 KiB when the reader's buffer allows it, and larger ones
// when a single entry needs it.
constexpr size_t kReceiveBytes = 65536;
constexpr int kSocketBufferBytes = 1 << 20;
// netlink_sendmsg() wants the whole batch in the socket's send buffer (212,992 by default).
constexpr size_t kBytesPerSend = 65536;

using Clock = std::chrono::steady_clock;

}  // namespace

// NextReply stops at the end, or at what is no message.
void Socket::RequireEnd(Bytes rest) const {
  if (rest.size) throw KernelError(EBADMSG, "recvmsg", protocol_.name);
}

void Socket::Option(int level, int option, const char* name, const void* value, unsigned size) {
  if (setsockopt(fd_.get(), level, option, value, size)) {
    throw KernelError(errno, "setsockopt", name);
  }
}

Socket::Socket(uint32_t receive_timeout_ms, Protocol protocol)
    : protocol_(protocol),
      fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol.number)),
      receive_timeout_ms_(receive_timeout_ms) {
  if (!fd_.valid()) throw KernelError(errno, "socket", protocol_.name);
  const int on = 1;
  Option(SOL_NETLINK, NETLINK_EXT_ACK, "NETLINK_EXT_ACK", &on, sizeof on);
  Option(SOL_NETLINK, NETLINK_CAP_ACK, "NETLINK_CAP_ACK", &on, sizeof on);
  Option(SOL_NETLINK, NETLINK_GET_STRICT_CHK, "NETLINK_GET_STRICT_CHK", &on, sizeof on);
  timeval timeout{};
  timeout.tv_sec = receive_timeout_ms / 1000;
  timeout.tv_usec = static_cast<suseconds_t>(receive_timeout_ms % 1000) * 1000;
  Option(SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO", &timeout, sizeof timeout);
  // FORCE goes beyond net.core.rmem_max and needs CAP_NET_ADMIN; without it the plain option has to
  // do.
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBufferBytes, sizeof(int))) {
    Option(SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", &kSocketBufferBytes, sizeof(int));
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address)) {
    throw KernelError(errno, "bind", protocol_.name);
  }
  socklen_t size = sizeof address;
  if (getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size)) {
    throw KernelError(errno, "getsockname", protocol_.name);
  }
  port_ = address.nl_pid;
  buffer_.resize(kReceiveBytes);
}

void Socket::Send(Bytes bytes) {
  if (!settled_) Drain();
  settled_ = false;
  ssize_t sent;
  do {
    sent = send(fd_.get(), bytes.data, bytes.size, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw KernelError(errno, "sendto", protocol_.name);
}

Bytes Socket::Receive() {
  // SO_RCVTIMEO starts again after a signal (a profiler's, say) and after a stranger's datagram.
  Clock::time_point give_up{};
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = recvmsg(fd_.get(), &message, 0);
    // Any process may send to a netlink port; only the kernel's own address is 0.
    const bool is_kernels = message.msg_namelen == sizeof from && from.nl_pid == 0;
    if (size >= 0 && is_kernels) {
      if (message.msg_flags & MSG_TRUNC) throw KernelError(EMSGSIZE, "recvmsg", protocol_.name);
      return {buffer_.data(), static_cast<size_t>(size)};
    }
    if (size < 0 && errno != EINTR && errno != EAGAIN) {
      throw KernelError(errno, "recvmsg", protocol_.name);
    }
    const bool timed_out = size < 0 && errno == EAGAIN;
    const auto now = Clock::now();
    if (give_up == Clock::time_point{}) {
      give_up = now + std::chrono::milliseconds(receive_timeout_ms_);
    }
    if (timed_out || now >= give_up) {
      throw KernelError(ETIMEDOUT, "recvmsg", protocol_.name,
                        "no reply within " + std::to_string(receive_timeout_ms_) + " ms");
    }
  }
}

// After an error the buffer may be full of what nobody read, and then it has no room for an ack
// (ENOBUFS). A dump, too, runs on in the kernel until it is read, and until then the next one gets
// EBUSY.
void Socket::Drain() {
  ssize_t size;
  do {
    size = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  } while (size >= 0 || errno == EINTR || errno == ENOBUFS);
}

std::vector<Ack> Socket::Talk(MessageBuilder* messages) {
  const uint32_t first = sequence_;
  const size_t count = messages->count();
  messages->Number(first);
  sequence_ += static_cast<uint32_t>(count);
  std::vector<Ack> acks(count);
  std::vector<Ack> answers;
  for (size_t from = 0; from < count;) {
    if (messages->Follows(from) && acks[from - 1].error != 0) {
      acks[from] = acks[from - 1];  // Not sent; what it would complete does not exist.
      from++;
      continue;
    }
    size_t to = from + 1;
    while (to < count && to - from < kMessagesPerSend && !messages->Follows(to) &&
           messages->Range(from, to + 1).size <= kBytesPerSend) {
      to++;
    }
    TalkChunk(messages, from, to, first, &acks);
    from = to;
  }
  for (size_t i = 0; i < count; i++) {
    if (messages->Follows(i)) {
      answers.back() = std::move(acks[i]);
    } else {
      answers.push_back(std::move(acks[i]));
    }
  }
  return answers;
}

// A refusal is answered without being asked for, in order, and one that finds no room sets ENOBUFS
// on the socket (netlink_overrun() in net/netlink/af_netlink.c). So the last message's ack tells
// that the others were done: an ack and its recvmsg() cost a microsecond each.
void Socket::TalkChunk(MessageBuilder* messages, size_t from, size_t to, uint32_t first,
                       std::vector<Ack>* acks) {
  for (size_t index = from; index + 1 < to; index++) messages->WithoutAck(index);
  Send(messages->Range(from, to));
  for (bool complete = false; !complete;) {
    Bytes rest = Receive();
    for (Reply reply; NextReply(&rest, &reply);) {
      // Unsigned, so that a late reply to an older request lands outside the range as well.
      const uint32_t index = reply.header.nlmsg_seq - first;
      if (index < from || index >= to || reply.header.nlmsg_pid != port_) continue;
      if (reply.header.nlmsg_type != NLMSG_ERROR) continue;
      Ack& ack = (*acks)[index];
      // A refusal stands, whatever else is said of its message.
      if (ack.error == 0 && !ParseAck(reply, &ack)) {
        throw KernelError(EBADMSG, "recvmsg", protocol_.name);
      }
      complete = complete || index + 1 == to;
    }
    RequireEnd(rest);
  }
  settled_ = true;
}

std::vector<uint8_t> Socket::Get(MessageBuilder* request, const char* name) {
  const uint32_t sequence = sequence_++;
  request->Number(sequence);
  Send(request->All());
  for (;;) {
    Bytes rest = Receive();
    for (Reply reply; NextReply(&rest, &reply);) {
      if (reply.header.nlmsg_seq != sequence || reply.header.nlmsg_pid != port_) continue;
      settled_ = true;
      if (reply.header.nlmsg_type == NLMSG_ERROR) {
        Ack ack;
        if (!ParseAck(reply, &ack) || ack.error == 0) ack.error = EBADMSG;
        throw KernelError(ack.error, name, "", ack.text);
      }
      return {reply.payload.data, reply.payload.data + reply.payload.size};
    }
    RequireEnd(rest);
  }
}

bool Socket::DumpOnce(MessageBuilder* request, const char* name,
                      const std::function<void(Bytes)>& visit) {
  const uint32_t sequence = sequence_++;
  request->Number(sequence);
  Send(request->All());
  bool interrupted = false;
  for (;;) {
    Bytes rest = Receive();
    for (Reply reply; NextReply(&rest, &reply);) {
      if (reply.header.nlmsg_seq != sequence || reply.header.nlmsg_pid != port_) continue;
      const bool is_lossy = reply.header.nlmsg_type == NLMSG_OVERRUN;
      if (is_lossy || reply.header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (is_lossy || reply.header.nlmsg_type == NLMSG_NOOP) continue;
      if (reply.header.nlmsg_type != NLMSG_DONE && reply.header.nlmsg_type != NLMSG_ERROR) {
        visit(reply.payload);
        continue;
      }
      settled_ = true;
      Ack ack;
      if (reply.header.nlmsg_type == NLMSG_DONE) {
        ack = ParseDone(reply);
      } else if (!ParseAck(reply, &ack)) {
        ack.error = EBADMSG;
      }
      if (ack.error) throw KernelError(ack.error, name, "", ack.text);
      return !interrupted;
    }
    RequireEnd(rest);
  }
}

}  // namespace forknet
