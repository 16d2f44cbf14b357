// What may be the name or the alias of a link. Checked here because the kernel would cut, expand or
// quietly accept what the caller did not mean.
#ifndef FORKNET_NAME_H_
#define FORKNET_NAME_H_

#include <cstddef>
#include <string_view>

namespace forknet {

/** IFNAMSIZ without the NUL. */
constexpr size_t kMaxLinkNameBytes = 15;
/** IFALIASZ without the NUL. */
constexpr size_t kMaxAliasBytes = 255;

/**
 * 1 to 15 bytes; not "." or ".."; none of '/', ':', '%', whitespace and control bytes. '%' because
 * the kernel takes "tap%d" as a pattern and would choose the name itself.
 */
bool ValidLinkName(std::string_view name);

/** At most 255 bytes without a NUL. Empty clears the alias. */
bool ValidAlias(std::string_view alias);

}  // namespace forknet

#endif  // FORKNET_NAME_H_
