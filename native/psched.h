// The kernel's packet-scheduler clock. Sizes in bytes become ticks here and nowhere else.
#ifndef FORKNET_PSCHED_H_
#define FORKNET_PSCHED_H_

#include <cstdint>
#include <string>

namespace forknet {

class Psched {
 public:
  /** Reads /proc/net/psched. Throws KernelError when it cannot be read or makes no sense. */
  static Psched Read();

  /** The text of /proc/net/psched. Throws KernelError EINVAL when it makes no sense. */
  static Psched Parse(const std::string& text);

  /** From the first three numbers of /proc/net/psched. All must be positive. */
  Psched(uint32_t time_to_us, uint32_t us_to_time, uint32_t clock_resolution);

  /**
   * The time in ticks that `bytes` take at `rate` bytes per second, rounded up as tc does, so that
   * the bucket is never smaller than asked for. At most 0xffffffff. `rate` must not be 0.
   */
  uint32_t Ticks(uint32_t bytes, uint64_t rate) const;

  /** The bytes that `rate` bytes per second pass in `ticks`, rounded down as tc does. */
  uint64_t BytesIn(uint32_t ticks, uint64_t rate) const;

 private:
  // ticks per second = ticks_ / seconds_
  uint64_t ticks_;
  uint64_t seconds_;
};

}  // namespace forknet

#endif  // FORKNET_PSCHED_H_
