// A buffer of rtnetlink messages that go out in one send. Deliberately not the addon's own builder:
// the floor must not share a mistake with what it is the measure of.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

inline double NowUs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

[[noreturn]] inline void Die(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

class Batch {
 public:
  template <class Body>
  Batch& Start(uint16_t type, uint16_t flags, const Body& body) {
    header_ = reinterpret_cast<nlmsghdr*>(buffer_ + length_);
    std::memset(header_, 0, NLMSG_LENGTH(sizeof body));
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header_->nlmsg_len = NLMSG_LENGTH(sizeof body);
    std::memcpy(NLMSG_DATA(header_), &body, sizeof body);
    count_++;
    return *this;
  }

  Batch& Attr(uint16_t type, const void* data, size_t size) {
    auto* attribute = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(header_) +
                                                NLMSG_ALIGN(header_->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    if (size) std::memcpy(RTA_DATA(attribute), data, size);
    header_->nlmsg_len =
        static_cast<uint32_t>(NLMSG_ALIGN(header_->nlmsg_len) + RTA_ALIGN(attribute->rta_len));
    return *this;
  }
  template <class T>
  Batch& Attr(uint16_t type, const T& value) {
    return Attr(type, &value, sizeof value);
  }
  Batch& Attr(uint16_t type, const char* text) { return Attr(type, text, std::strlen(text) + 1); }

  template <class Fill>
  Batch& Nest(uint16_t type, Fill fill) {
    auto* nest = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(header_) +
                                           NLMSG_ALIGN(header_->nlmsg_len));
    Attr(type, nullptr, 0);
    fill();
    const char* end = reinterpret_cast<char*>(header_) + NLMSG_ALIGN(header_->nlmsg_len);
    nest->rta_len = static_cast<uint16_t>(end - reinterpret_cast<char*>(nest));
    return *this;
  }

  void End() { length_ += NLMSG_ALIGN(header_->nlmsg_len); }

  // Acks queue up in the socket until they are read: too many in one send end in ENOBUFS.
  bool Full() const { return count_ >= 120; }

  // Sends everything, waits for every ack, and ends the program at the first refusal.
  void Must(int fd, const char* what) {
    if (!count_) return;
    if (send(fd, buffer_, length_, 0) < 0) Die("send");
    char reply[16384];
    int acks = 0;
    while (acks < count_) {
      int size = static_cast<int>(recv(fd, reply, sizeof reply, 0));
      if (size < 0) Die("recv");
      for (auto* h = reinterpret_cast<nlmsghdr*>(reply); NLMSG_OK(h, static_cast<unsigned>(size));
           h = NLMSG_NEXT(h, size)) {
        if (h->nlmsg_type != NLMSG_ERROR) continue;
        acks++;
        if (int error = static_cast<nlmsgerr*>(NLMSG_DATA(h))->error) {
          errno = -error;
          Die(what);
        }
      }
    }
    length_ = count_ = 0;
  }

 private:
  char buffer_[65536];
  size_t length_ = 0;
  int count_ = 0;
  nlmsghdr* header_ = nullptr;
};
