// The bpf(2) system call. Every descriptor it makes is close-on-exec from birth.
#ifndef FORKNET_BPF_SYSCALL_H_
#define FORKNET_BPF_SYSCALL_H_

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace forknet {

/** All zero: the kernel refuses stray bits, and `= {}` need not clear more than a union's first
 * member. */
inline bpf_attr EmptyBpfAttr() {
  bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}

inline uint64_t BpfPointer(const void* pointer) {
  return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(pointer));
}

/** What the system call returns: a descriptor or 0, or -1 with errno set. */
inline int Bpf(bpf_cmd command, bpf_attr* attr) {
  return static_cast<int>(syscall(SYS_bpf, command, attr, sizeof *attr));
}

/** BPF_OBJ_GET_INFO_BY_FD. What an older kernel does not know stays as it is in `info`. */
template <typename Info>
int BpfObjectInfo(int fd, Info* info) {
  bpf_attr attr = EmptyBpfAttr();
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info_len = sizeof *info;
  attr.info.info = BpfPointer(info);
  return Bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

}  // namespace forknet

#endif  // FORKNET_BPF_SYSCALL_H_
