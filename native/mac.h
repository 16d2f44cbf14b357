// A MAC address between a number (02:00:00:00:00:01 is 0x020000000001) and its six bytes.
#ifndef FORKNET_MAC_H_
#define FORKNET_MAC_H_

#include <array>
#include <cstdint>

namespace forknet {

inline std::array<uint8_t, 6> MacBytes(uint64_t mac) {
  std::array<uint8_t, 6> bytes{};
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(mac >> (40 - 8 * i));
  return bytes;
}

}  // namespace forknet

#endif  // FORKNET_MAC_H_
