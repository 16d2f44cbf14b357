// Names of error numbers and the words of a KernelError.
#include "errno_name.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "netlink/kernel_error.h"

namespace forknet {
namespace {

TEST_CASE("numbers have their first name") {
  CHECK(ErrnoName(EBUSY) == "EBUSY");
  CHECK(ErrnoName(EAGAIN) == "EAGAIN");
  CHECK(ErrnoName(EOPNOTSUPP) == "EOPNOTSUPP");
  CHECK(ErrnoName(EXFULL) == "EXFULL");
  CHECK(ErrnoName(4095) == "E4095");
}

TEST_CASE("an error says the call, the subject and the kernel's words") {
  const KernelError plain(EBUSY, "TUNSETIFF", "fk-1");
  CHECK(std::string(plain.what()) == "TUNSETIFF fk-1: EBUSY (Device or resource busy)");
  const KernelError worded(ENOENT, "RTM_GETLINK", "", "no such thing");
  CHECK(std::string(worded.what()) == "RTM_GETLINK: ENOENT (no such thing)");
  CHECK(worded.error() == ENOENT);
  CHECK(worded.syscall() == "RTM_GETLINK");
}

}  // namespace
}  // namespace forknet
