// The poll loop between two TAPs.
#include "wire.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <vector>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

// The largest GSO frame and the largest virtio header fit.
constexpr size_t kFrameBytes = 65536 + 256;
// Frames from one end before the other gets its turn.
constexpr int kFramesPerTurn = 64;
constexpr short kGone = POLLERR | POLLHUP;

/** How many frames may be read after one poll: a second read of a blocking descriptor could hang.
 */
int FramesPerTurn(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) throw KernelError(errno, "fcntl");
  return flags & O_NONBLOCK ? kFramesPerTurn : 1;
}

/** True while the end a frame was lost at still exists: full, down, or unwilling to take this
 * frame. */
bool MerelyLost(int error) {
  return error == EAGAIN || error == EINTR || error == EIO || error == ENOBUFS || error == ENOMEM ||
         error == EINVAL;
}

/** False when an end is gone. */
bool Copy(int from, int to, int frames, std::vector<uint8_t>* frame) {
  for (int i = 0; i < frames; i++) {
    const ssize_t size = read(from, frame->data(), frame->size());
    if (size < 0) return errno == EAGAIN || errno == EINTR || errno == EIO;
    if (write(to, frame->data(), static_cast<size_t>(size)) < 0 && !MerelyLost(errno)) return false;
  }
  return true;
}

}  // namespace

void Wire(int fd_a, int fd_b, std::optional<int> stop_fd) {
  const int frames_a = FramesPerTurn(fd_a);
  const int frames_b = FramesPerTurn(fd_b);
  std::vector<uint8_t> frame(kFrameBytes);
  // poll() skips negative descriptors.
  pollfd ends[3] = {{fd_a, POLLIN, 0}, {fd_b, POLLIN, 0}, {stop_fd.value_or(-1), POLLIN, 0}};
  for (;;) {
    if (poll(ends, 3, -1) < 0) {
      if (errno == EINTR) continue;
      throw KernelError(errno, "poll");
    }
    if ((ends[0].revents | ends[1].revents | ends[2].revents) & POLLNVAL) {
      throw KernelError(EBADF, "poll");
    }
    if (ends[2].revents) return;
    if ((ends[0].revents | ends[1].revents) & kGone) return;
    if ((ends[0].revents & POLLIN) && !Copy(fd_a, fd_b, frames_a, &frame)) return;
    if ((ends[1].revents & POLLIN) && !Copy(fd_b, fd_a, frames_b, &frame)) return;
  }
}

}  // namespace forknet
