// The kernel's types: small ones written here, damaged ones, and those of the running kernel.
#include "bpf/kernel_types.h"

#include <doctest/doctest.h>
#include <linux/btf.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <string>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

constexpr uint32_t kBitFields = 1;

// Writes BTF: types in the order of their ids, from 1.
class Writer {
 public:
  uint32_t Name(const std::string& name) {
    if (name.empty()) return 0;
    const auto at = static_cast<uint32_t>(strings_.size());
    strings_ += name + '\0';
    return at;
  }

  Writer& Words(std::initializer_list<uint32_t> words) {
    for (const uint32_t word : words) types_.append(reinterpret_cast<const char*>(&word), 4);
    return *this;
  }

  Writer& Type(const std::string& name, uint32_t kind, uint32_t count = 0, uint32_t flag = 0) {
    return Words({Name(name), flag << 31 | kind << 24 | count, 0});
  }

  Writer& Member(const std::string& name, uint32_t type, uint32_t offset) {
    return Words({Name(name), type, offset});
  }

  std::string Done() const {
    const btf_header header = {BTF_MAGIC,
                               BTF_VERSION,
                               0,
                               sizeof header,
                               0,
                               static_cast<uint32_t>(types_.size()),
                               static_cast<uint32_t>(types_.size()),
                               static_cast<uint32_t>(strings_.size())};
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + types_ + strings_;
  }

 private:
  std::string types_;
  std::string strings_ = std::string(1, '\0');
};

int ErrorOf(const std::string& btf, const std::string& type = "outer",
            const std::string& member = "wanted") {
  try {
    KernelTypes(btf).MemberBit(type, member);
    return 0;
  } catch (const KernelError& error) {
    return error.error();
  }
}

// An int, a function, an enum, a union in a struct in a struct, without names in between.
Writer Small() {
  Writer writer;
  writer.Type("int", BTF_KIND_INT).Words({32});
  writer.Type("call", BTF_KIND_FUNC);
  writer.Type("", BTF_KIND_ENUM, 2)
      .Words({writer.Name("FIRST"), 1, writer.Name("SECOND"), 1 << 17});
  writer.Type("", BTF_KIND_UNION, 2).Member("other", 1, 0).Member("wanted", 1, 16);
  writer.Type("", BTF_KIND_STRUCT, 2, kBitFields).Member("flag", 1, 2 << 24 | 37).Member("", 4, 64);
  writer.Type("outer", BTF_KIND_STRUCT, 2).Member("first", 1, 0).Member("", 5, 128);
  return writer;
}

TEST_CASE("ids count from 1, offsets add up, bit-fields are found by the bit") {
  const KernelTypes types(Small().Done());
  CHECK(types.FunctionId("call") == 2);
  CHECK(types.StructId("outer") == 6);
  CHECK(types.EnumeratorValue("FIRST") == 1);
  CHECK(types.EnumeratorValue("SECOND") == 1 << 17);
  CHECK(types.MemberBit("outer", "first") == 0);
  CHECK(types.MemberBit("outer", "flag") == 128 + 37);
  CHECK(types.MemberBit("outer", "wanted") == 128 + 64 + 16);
}

TEST_CASE("what is not there is ENOENT, also under another kind and with a longer name") {
  const KernelTypes types(Small().Done());
  for (const char* name : {"outer", "cal", "calls", ""}) {
    CAPTURE(name);
    CHECK_THROWS_AS(types.FunctionId(name), KernelError);
  }
  CHECK_THROWS_AS(types.StructId("call"), KernelError);
  CHECK_THROWS_AS(types.EnumeratorValue("call"), KernelError);
  CHECK(ErrorOf(Small().Done(), "nothing") == ENOENT);
  CHECK(ErrorOf(Small().Done(), "outer", "nothing") == ENOENT);
}

TEST_CASE("a bit-field over the end of a byte, and another member within one, are EINVAL") {
  for (const uint32_t place : {2U << 24 | 7, 9U << 24, 4U}) {
    CAPTURE(place);
    Writer writer;
    writer.Type("int", BTF_KIND_INT).Words({32});
    writer.Type("outer", BTF_KIND_STRUCT, 1, kBitFields).Member("wanted", 1, place);
    CHECK(ErrorOf(writer.Done()) == EINVAL);
  }
}

TEST_CASE("structs in a circle, and in more ways than anybody can go, are EINVAL") {
  Writer circle;
  circle.Type("outer", BTF_KIND_STRUCT, 1).Member("", 1, 0);
  CHECK(ErrorOf(circle.Done()) == EINVAL);

  constexpr uint32_t kLevels = 15;
  constexpr uint32_t kWays = 20;
  Writer ways;
  for (uint32_t level = 1; level <= kLevels; level++) {
    ways.Type(level == 1 ? "outer" : "", BTF_KIND_STRUCT, kWays);
    for (uint32_t i = 0; i < kWays; i++) ways.Member("", level + 1, 0);
  }
  ways.Type("", BTF_KIND_STRUCT, 0);
  CHECK(ErrorOf(ways.Done()) == EINVAL);
}

TEST_CASE("types and members that point nowhere are EINVAL") {
  Writer writer;
  writer.Type("outer", BTF_KIND_STRUCT, 1).Member("", 99, 0);
  CHECK(ErrorOf(writer.Done()) == EINVAL);
  CHECK(ErrorOf(Writer().Words({0x7fffffff, BTF_KIND_FUNC << 24, 0}).Done()) == ENOENT);
}

TEST_CASE("other formats, other kinds and every cut are EINVAL or ENOENT") {
  const std::string whole = Small().Done();
  CHECK(ErrorOf(whole) == 0);
  for (size_t size = 0; size < whole.size(); size++) {
    CAPTURE(size);
    CHECK(ErrorOf(whole.substr(0, size)) == EINVAL);
  }
  std::string other = whole;
  other[0] = 0;
  CHECK(ErrorOf(other) == EINVAL);
  CHECK(ErrorOf(Writer().Type("", 31).Done()) == EINVAL);
  CHECK(ErrorOf(Writer().Type("", BTF_KIND_STRUCT, 0xffff).Done()) == EINVAL);
  std::string far = whole;
  far[offsetof(btf_header, type_len) + 3] = '\x7f';
  CHECK(ErrorOf(far) == EINVAL);
}

TEST_CASE("the running kernel's") {
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    MESSAGE("skipped: the kernel has no BTF");
    return;
  }
  const KernelTypes types = KernelTypes::Read();
  CHECK(types.StructId("sk_buff") > 0);
  CHECK(types.MemberBit("sk_buff", "csum_offset") == types.MemberBit("sk_buff", "csum_start") + 16);
  CHECK(types.MemberBit("sk_buff", "data") == types.MemberBit("sk_buff", "head") + 64);
  CHECK(types.MemberBit("sk_buff", "ip_summed") > 0);
  CHECK(types.EnumeratorValue("SKB_GSO_TCPV4") == 1);
}

}  // namespace
}  // namespace forknet
