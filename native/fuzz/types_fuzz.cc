// Any bytes as the kernel's types (BTF), and searches in what is taken for such: they find or
// refuse.
#include "bpf/kernel_types.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "fuzz/expect.h"
#include "netlink/kernel_error.h"

namespace {

void Try(const std::function<void()>& search) {
  try {
    search();
  } catch (const forknet::KernelError& error) {
    forknet::Expect(error.error() == EINVAL || error.error() == ENOENT,
                    "nonsense is refused as EINVAL, what is not there as ENOENT");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Try([&] {
    const forknet::KernelTypes types(std::string(reinterpret_cast<const char*>(data), size));
    Try([&] { types.FunctionId("f"); });
    Try([&] { types.StructId("s"); });
    Try([&] { types.EnumeratorValue("e"); });
    Try([&] {
      forknet::Expect(types.MemberBit("s", "m") <= INT32_MAX, "an instruction holds every place");
    });
  });
  return 0;
}
