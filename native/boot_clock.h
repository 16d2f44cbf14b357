// The clock that counts from the machine's start on, through suspends, and that nobody sets.
#ifndef FORKNET_BOOT_CLOCK_H_
#define FORKNET_BOOT_CLOCK_H_

#include <cstdint>
#include <ctime>

namespace forknet {

/** Whole milliseconds of CLOCK_BOOTTIME; read without a system call. */
inline int64_t BootMs() {
  timespec now{};
  // Fails only for a clock that the kernel does not have.
  (void)clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace forknet

#endif  // FORKNET_BOOT_CLOCK_H_
