// Finds the Encode() of a request.
#include "request.h"

#include <type_traits>

namespace forknet {

void EncodeRequest(const Request& request, const Psched& psched, MessageBuilder* out) {
  std::visit(
      [&](const auto& one) {
        using Type = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Type, QdiscTbf> || std::is_same_v<Type, ClassHtb>) {
          Encode(one, psched, out);  // The two that hold a time.
        } else {
          Encode(one, out);
        }
      },
      request);
}

}  // namespace forknet
