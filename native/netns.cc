// unshare(2) and setns(2) with CLONE_NEWNET.
#include "netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "netlink/kernel_error.h"
#include "unique_fd.h"

namespace forknet {

void UnshareNetwork() {
  if (unshare(CLONE_NEWNET)) throw KernelError(errno, "unshare", "CLONE_NEWNET");
}

void EnterNetwork(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw KernelError(errno, "open", path);
  if (setns(fd.get(), CLONE_NEWNET)) throw KernelError(errno, "setns", path);
}

}  // namespace forknet
