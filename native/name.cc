// Link names and aliases, after dev_valid_name() and dev_set_alias() in the kernel.
#include "name.h"

namespace forknet {

bool ValidLinkName(std::string_view name) {
  if (name.empty() || name.size() > kMaxLinkNameBytes) return false;
  if (name == "." || name == "..") return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    // 0xa0 because the kernel's isspace() works on Latin-1 and counts the no-break space.
    if (byte <= ' ' || byte == 0x7f || byte == 0xa0) return false;
    if (c == '/' || c == ':' || c == '%') return false;
  }
  return true;
}

bool ValidAlias(std::string_view alias) {
  return alias.size() <= kMaxAliasBytes && alias.find('\0') == std::string_view::npos;
}

}  // namespace forknet
