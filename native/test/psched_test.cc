// Bytes to ticks and back, at the boundaries.
#include "psched.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace forknet {
namespace {

// What every current kernel reports: a tick is 64 ns.
Psched Today() { return {0x3e8, 0x40, 1'000'000}; }
constexpr double kTicksPerSecond = 1e9 / 64;

TEST_CASE("ticks are the time of the bytes at the rate, rounded up") {
  const Psched psched = Today();
  // 200,000 bytes at 12,500,000 bytes/s take 16 ms.
  CHECK(psched.Ticks(200'000, 12'500'000) == 250'000);
  // 1 byte at 15,625,000 bytes/s takes one tick exactly; a hair faster still takes one.
  CHECK(psched.Ticks(1, 15'625'000) == 1);
  CHECK(psched.Ticks(1, 15'625'001) == 1);
  CHECK(psched.Ticks(1, 15'624'999) == 2);
  CHECK(psched.Ticks(0, 1) == 0);
}

TEST_CASE("ticks clamp to 32 bits instead of wrapping") {
  const Psched psched = Today();
  // 2^32 - 1 ticks are 274.88 s.
  CHECK(psched.Ticks(274, 1) == 274 * 15'625'000U);
  CHECK(psched.Ticks(275, 1) == UINT32_MAX);
  CHECK(psched.Ticks(UINT32_MAX, 1) == UINT32_MAX);
}

TEST_CASE("rates beyond 32 bits neither overflow nor divide by a cut number") {
  const Psched psched = Today();
  const uint64_t rate = uint64_t{1} << 32;
  // 2^32 bytes/s for 2^32 - 1 bytes: one second less a fraction, rounded up.
  CHECK(psched.Ticks(UINT32_MAX, rate) == 15'625'000);
  CHECK(psched.Ticks(1, (uint64_t{1} << 53) - 1) == 1);
  CHECK(psched.Ticks(UINT32_MAX, UINT64_MAX) == 1);
}

TEST_CASE("the integers agree with tc's doubles") {
  const Psched psched = Today();
  for (const uint64_t rate : {125ULL, 125'000ULL, 1'250'000ULL, 12'500'000ULL, 1'250'000'000ULL,
                              4'294'967'295ULL, 4'294'967'296ULL, 12'500'000'000ULL}) {
    for (const uint32_t bytes : {1540U, 1600U, 65'536U, 1'000'000U}) {
      const double exact = std::ceil(1e6 * bytes / static_cast<double>(rate) * 15.625);
      if (exact > UINT32_MAX) continue;
      CAPTURE(rate);
      CAPTURE(bytes);
      CHECK(psched.Ticks(bytes, rate) == static_cast<uint32_t>(exact));
    }
  }
}

TEST_CASE("bytes come back from ticks, at most one tick's worth more") {
  const Psched psched = Today();
  for (const uint64_t rate : {125'000ULL, 1'250'000ULL, 12'500'000'000ULL}) {
    for (const uint32_t bytes : {1540U, 6600U, 65'536U}) {
      const uint64_t back = psched.BytesIn(psched.Ticks(bytes, rate), rate);
      CHECK(back >= bytes);
      CHECK(static_cast<double>(back - bytes) <= static_cast<double>(rate) / kTicksPerSecond + 1);
    }
  }
  CHECK(psched.BytesIn(0, UINT64_MAX) == 0);
  CHECK(psched.BytesIn(UINT32_MAX, 0) == 0);
  CHECK(psched.BytesIn(UINT32_MAX, UINT64_MAX) == UINT64_MAX);
}

TEST_CASE("other clocks") {
  // Nanosecond resolution: the advertised multiplier of 1000 means 1, so a tick is a nanosecond.
  const Psched nanoseconds(1000, 1, 1'000'000'000);
  CHECK(nanoseconds.Ticks(1, 1'000'000) == 1000);
  const Psched microseconds(1, 1, 1'000'000);
  CHECK(microseconds.Ticks(1, 1) == 1'000'000);
  // The largest numbers that could stand in the file.
  const Psched largest(UINT32_MAX, 1, UINT32_MAX);
  CHECK(largest.Ticks(UINT32_MAX, 1) == UINT32_MAX);
}

}  // namespace
}  // namespace forknet
