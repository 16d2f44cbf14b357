// Words of a KernelError: "TUNSETIFF fk-1: EBUSY (Device or resource busy)".
#include "netlink/kernel_error.h"

#include <system_error>
#include <utility>

#include "errno_name.h"

namespace forknet {
namespace {

std::string Words(int error, const std::string& syscall, const std::string& subject,
                  const std::string& text) {
  std::string words = syscall;
  if (!subject.empty()) words += " " + subject;
  words += ": " + ErrnoName(error) + " (";
  words += text.empty() ? std::generic_category().message(error) : text;
  return words + ")";
}

}  // namespace

KernelError::KernelError(int error, std::string syscall, const std::string& subject,
                         const std::string& text)
    : std::runtime_error(Words(error, syscall, subject, text)),
      error_(error),
      syscall_(std::move(syscall)) {}

}  // namespace forknet
