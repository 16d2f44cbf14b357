// Owns one file descriptor and closes it when it goes out of scope.
#ifndef FORKNET_UNIQUE_FD_H_
#define FORKNET_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace forknet {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  /** Gives the descriptor away; the caller closes it. */
  int Release() { return std::exchange(fd_, -1); }

  void Reset(int fd = -1) {
    // Never retried: Linux frees the number even when close() reports EINTR.
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace forknet

#endif  // FORKNET_UNIQUE_FD_H_
