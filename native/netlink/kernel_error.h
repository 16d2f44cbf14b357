// The one error of the plain C++: what the kernel refused, in which call, about what, and in its
// own words.
#ifndef FORKNET_NETLINK_KERNEL_ERROR_H_
#define FORKNET_NETLINK_KERNEL_ERROR_H_

#include <stdexcept>
#include <string>

namespace forknet {

class KernelError : public std::runtime_error {
 public:
  /**
   * `error` is a positive errno. `syscall` is the call or the request ("TUNSETIFF", "RTM_GETLINK"),
   * `subject` the device or path it was about, `text` the kernel's extended ack; both may be empty.
   */
  KernelError(int error, std::string syscall, const std::string& subject = "",
              const std::string& text = "");

  int error() const { return error_; }
  const std::string& syscall() const { return syscall_; }

 private:
  int error_;
  std::string syscall_;
};

}  // namespace forknet

#endif  // FORKNET_NETLINK_KERNEL_ERROR_H_
