// The running kernel's types (BTF), as far as programs ask for them: which id a function or a
// struct has, where a member is, which value an enumerator. Reads the format itself, bounds
// checked: a kernel may have a newer one.
#ifndef FORKNET_BPF_KERNEL_TYPES_H_
#define FORKNET_BPF_KERNEL_TYPES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace forknet {

class KernelTypes {
 public:
  /** Reads /sys/kernel/btf/vmlinux. Throws KernelError: ENOENT when the kernel has no BTF. */
  static KernelTypes Read();

  /** Throws KernelError EINVAL for what is no BTF, or has kinds that are not known here. */
  explicit KernelTypes(std::string btf);

  /** Each throws KernelError ENOENT when there is no such thing, EINVAL when it makes no sense. */
  uint32_t FunctionId(const std::string& name) const;
  uint32_t StructId(const std::string& name) const;
  /**
   * In bits from the struct's start, also of a member of nameless structs and unions in it. A
   * bit-field lies within one byte, everything else begins at one: EINVAL otherwise.
   */
  uint32_t MemberBit(const std::string& type, const std::string& member) const;
  uint32_t EnumeratorValue(const std::string& name) const;

 private:
  struct Type;

  uint32_t Word(size_t at) const;
  Type TypeAt(size_t at) const;
  Type TypeOf(uint32_t id) const;
  bool IsNamed(uint32_t name, const std::string& wanted) const;
  uint32_t Find(uint32_t kind, const std::string& name) const;
  uint64_t PlaceOf(const Type& type, const std::string& member) const;

  std::string btf_;
  size_t strings_ = 0;
  size_t strings_end_ = 0;
  // Where each type is in `btf_`, by its id less one: id 0 is void and not in the list.
  std::vector<uint32_t> types_;
};

}  // namespace forknet

#endif  // FORKNET_BPF_KERNEL_TYPES_H_
