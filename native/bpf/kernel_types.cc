// BTF as Documentation/bpf/btf.rst has it: a header, types of different lengths in the order of
// their ids, and the names.
#include "bpf/kernel_types.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "netlink/kernel_error.h"
#include "unique_fd.h"

namespace forknet {
namespace {

constexpr const char* kPath = "/sys/kernel/btf/vmlinux";
constexpr const char* kCall = "BTF";
constexpr uint32_t kWordBytes = sizeof(uint32_t);
constexpr uint32_t kTypeBytes = sizeof(btf_type);
constexpr uint32_t kByteBits = 8;
// Since Linux 6.0; older headers lack it.
constexpr uint32_t kKindEnum64 = 19;
// Members that a search may look at: sk_buff has some 150, a circle of structs has no end.
constexpr size_t kMostMembers = 10'000;

KernelError Nonsense(const std::string& what) { return {EINVAL, kCall, kPath, what}; }

// What follows a type's head.
uint64_t TailBytes(uint32_t kind, uint32_t count) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return kWordBytes;
    case BTF_KIND_ARRAY:
      return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case kKindEnum64:
      return uint64_t{count} * sizeof(btf_member);
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return uint64_t{count} * sizeof(btf_enum);
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return 0;
    default:
      throw Nonsense("types of kind " + std::to_string(kind));
  }
}

}  // namespace

struct KernelTypes::Type {
  uint32_t name;
  uint32_t kind;
  uint32_t count;
  // Members tell the length of a bit-field beside its offset.
  bool has_bit_fields;
  size_t tail;
};

KernelTypes KernelTypes::Read() {
  const UniqueFd fd(open(kPath, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw KernelError(errno, "open", kPath);
  // fstat(), compiled on a newer system, would ask for the glibc 2.33 that the published addon does
  // without.
  struct statx status = {};
  if (statx(fd.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status) < 0) {
    throw KernelError(errno, "statx", kPath);
  }
  std::string btf(status.stx_size, '\0');
  for (size_t done = 0; done < btf.size();) {
    const ssize_t size = read(fd.get(), &btf[done], btf.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw KernelError(errno, "read", kPath);
    if (size == 0) throw Nonsense("the file ends early");
    done += static_cast<size_t>(size);
  }
  return KernelTypes(std::move(btf));
}

KernelTypes::KernelTypes(std::string btf) : btf_(std::move(btf)) {
  btf_header header;
  if (btf_.size() < sizeof header || btf_.size() > UINT32_MAX) throw Nonsense("no header");
  std::memcpy(&header, btf_.data(), sizeof header);
  if (header.magic != BTF_MAGIC || header.version != BTF_VERSION) throw Nonsense("another format");
  const uint64_t types = uint64_t{header.hdr_len} + header.type_off;
  const uint64_t types_end = types + header.type_len;
  const uint64_t strings = uint64_t{header.hdr_len} + header.str_off;
  const uint64_t strings_end = strings + header.str_len;
  if (types_end > btf_.size() || strings_end > btf_.size()) throw Nonsense("cut off");
  strings_ = strings;
  strings_end_ = strings_end;
  for (uint64_t at = types; at < types_end;) {
    if (types_end - at < kTypeBytes) throw Nonsense("cut off in a type");
    const Type type = TypeAt(at);
    types_.push_back(static_cast<uint32_t>(at));
    at = type.tail + TailBytes(type.kind, type.count);
    if (at > types_end) throw Nonsense("cut off in a type");
  }
}

uint32_t KernelTypes::FunctionId(const std::string& name) const {
  return Find(BTF_KIND_FUNC, name);
}

uint32_t KernelTypes::StructId(const std::string& name) const {
  return Find(BTF_KIND_STRUCT, name);
}

uint32_t KernelTypes::MemberBit(const std::string& type, const std::string& member) const {
  const uint64_t bit = PlaceOf(TypeOf(Find(BTF_KIND_STRUCT, type)), member);
  // A patched instruction holds no more.
  if (bit > INT32_MAX) throw Nonsense(type + "." + member);
  return static_cast<uint32_t>(bit);
}

uint32_t KernelTypes::EnumeratorValue(const std::string& name) const {
  for (const uint32_t at : types_) {
    const Type type = TypeAt(at);
    if (type.kind != BTF_KIND_ENUM) continue;
    for (uint32_t i = 0; i < type.count; i++) {
      const size_t one = type.tail + i * sizeof(btf_enum);
      if (IsNamed(Word(one), name)) return Word(one + offsetof(btf_enum, val));
    }
  }
  throw KernelError(ENOENT, kCall, name);
}

// The constructor saw to it that whatever belongs to a type lies within `btf_`.
uint32_t KernelTypes::Word(size_t at) const {
  uint32_t word;
  std::memcpy(&word, &btf_[at], sizeof word);
  return word;
}

KernelTypes::Type KernelTypes::TypeAt(size_t at) const {
  const uint32_t info = Word(at + offsetof(btf_type, info));
  return {Word(at), BTF_INFO_KIND(info), BTF_INFO_VLEN(info), BTF_INFO_KFLAG(info) != 0,
          at + kTypeBytes};
}

KernelTypes::Type KernelTypes::TypeOf(uint32_t id) const {
  if (id == 0 || id > types_.size()) throw Nonsense("no type " + std::to_string(id));
  return TypeAt(types_[id - 1]);
}

bool KernelTypes::IsNamed(uint32_t name, const std::string& wanted) const {
  const size_t bytes = wanted.size() + 1;
  const size_t room = strings_end_ - strings_;
  return name < room && room - name >= bytes &&
         std::memcmp(&btf_[strings_ + name], wanted.c_str(), bytes) == 0;
}

uint32_t KernelTypes::Find(uint32_t kind, const std::string& name) const {
  for (size_t i = 0; i < types_.size(); i++) {
    const Type type = TypeAt(types_[i]);
    if (type.kind == kind && IsNamed(type.name, name)) return static_cast<uint32_t>(i + 1);
  }
  throw KernelError(ENOENT, kCall, name);
}

uint64_t KernelTypes::PlaceOf(const Type& type, const std::string& member) const {
  struct Part {
    Type type;
    uint64_t start;
  };
  // The struct, and what has no name within: the names in there are the struct's own.
  std::vector<Part> parts = {{type, 0}};
  size_t looked_at = 0;
  for (size_t part = 0; part < parts.size(); part++) {
    const auto [inner, start] = parts[part];
    for (uint32_t i = 0; i < inner.count; i++) {
      if (++looked_at > kMostMembers) throw Nonsense("more members than a struct has");
      const size_t at = inner.tail + i * sizeof(btf_member);
      const uint32_t name = Word(at);
      const uint32_t place = Word(at + offsetof(btf_member, offset));
      const uint64_t bit = start + (inner.has_bit_fields ? BTF_MEMBER_BIT_OFFSET(place) : place);
      if (IsNamed(name, member)) {
        const uint32_t bits = inner.has_bit_fields ? BTF_MEMBER_BITFIELD_SIZE(place) : 0;
        const uint64_t within = bit % kByteBits;
        if (bits == 0 ? within != 0 : within + bits > kByteBits) throw Nonsense(member);
        return bit;
      }
      if (!IsNamed(name, "")) continue;
      const Type nested = TypeOf(Word(at + offsetof(btf_member, type)));
      const bool has_members = nested.kind == BTF_KIND_STRUCT || nested.kind == BTF_KIND_UNION;
      if (has_members) parts.push_back({nested, bit});
    }
  }
  throw KernelError(ENOENT, kCall, member);
}

}  // namespace forknet
