// Any text as /proc/net/psched, and any bucket at any rate with the clock it gives.
#include "psched.h"

#include <fuzzer/FuzzedDataProvider.h>

#include "fuzz/expect.h"
#include "netlink/kernel_error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The provider takes numbers from the end and the text from the front.
  FuzzedDataProvider input(data, size);
  const auto bytes = input.ConsumeIntegral<uint32_t>();
  const auto rate = input.ConsumeIntegral<uint64_t>() | 1;
  const std::string text = input.ConsumeRemainingBytesAsString();
  try {
    const forknet::Psched clock = forknet::Psched::Parse(text);
    const uint32_t ticks = clock.Ticks(bytes, rate);
    if (ticks != UINT32_MAX) {
      forknet::Expect(clock.BytesIn(ticks, rate) >= bytes, "a bucket is never smaller than asked");
    }
    clock.BytesIn(bytes, rate);
  } catch (const forknet::KernelError& error) {
    forknet::Expect(error.error() == EINVAL, "nonsense is refused as EINVAL");
  }
  return 0;
}
