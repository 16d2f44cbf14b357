// Arithmetic of tc_core.c in iproute2, in integers: products of a size and a clock exceed 64 bits.
#include "psched.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <limits>

#include "netlink/kernel_error.h"
#include "unique_fd.h"

namespace forknet {
namespace {

__extension__ typedef unsigned __int128 Wide;
constexpr const char* kPath = "/proc/net/psched";
constexpr uint32_t kMicrosecondsPerSecond = 1'000'000;
constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

Psched::Psched(uint32_t time_to_us, uint32_t us_to_time, uint32_t clock_resolution) {
  // A kernel that counts nanoseconds reports a multiplier of 1000 for the sake of old readers; it
  // means 1.
  if (clock_resolution == kNanosecondsPerSecond) time_to_us = us_to_time;
  // ticks per second = time_to_us / us_to_time x (clock_resolution / 10^6) x 10^6
  const uint64_t factor = clock_resolution / kMicrosecondsPerSecond;
  ticks_ = uint64_t{time_to_us} * (factor ? factor : 1) * kMicrosecondsPerSecond;
  seconds_ = us_to_time;
}

Psched Psched::Read() {
  const UniqueFd fd(open(kPath, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw KernelError(errno, "open", kPath);
  char text[128];
  const ssize_t size = read(fd.get(), text, sizeof text);
  if (size < 0) throw KernelError(errno, "read", kPath);
  return Parse({text, static_cast<size_t>(size)});
}

Psched Psched::Parse(const std::string& text) {
  uint32_t numbers[3];
  const char* at = text.c_str();
  for (uint32_t& number : numbers) {
    char* end = nullptr;
    number = static_cast<uint32_t>(std::strtoul(at, &end, 16));
    if (end == at || number == 0) throw KernelError(EINVAL, "read", kPath);
    at = end;
  }
  return {numbers[0], numbers[1], numbers[2]};
}

uint32_t Psched::Ticks(uint32_t bytes, uint64_t rate) const {
  // ticks = bytes / rate x ticks per second
  const Wide divisor = Wide{rate} * seconds_;
  const Wide ticks = (Wide{bytes} * ticks_ + divisor - 1) / divisor;
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  return ticks > kMost ? kMost : static_cast<uint32_t>(ticks);
}

uint64_t Psched::BytesIn(uint32_t ticks, uint64_t rate) const {
  // bytes = rate x ticks / ticks per second
  const Wide bytes = Wide{rate} * ticks * seconds_ / ticks_;
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  return bytes > kMost ? kMost : static_cast<uint64_t>(bytes);
}

}  // namespace forknet
