// A read-only view of bytes that somebody else owns, with bounds-checked reads. C++17 has no
// std::span.
#ifndef FORKNET_BYTES_H_
#define FORKNET_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace forknet {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  /** Without the first `count` bytes; empty when there are fewer. */
  Bytes Skip(size_t count) const {
    return count >= size ? Bytes{} : Bytes{data + count, size - count};
  }

  /** The first `count` bytes, or all of them when there are fewer. */
  Bytes First(size_t count) const { return count < size ? Bytes{data, count} : *this; }

  /** Copies a T from the front. False, and `out` untouched, when there are too few bytes. */
  template <class T>
  bool Read(T* out) const {
    static_assert(std::is_trivially_copyable<T>::value, "only plain kernel structures");
    if (size < sizeof(T)) return false;
    std::memcpy(out, data, sizeof(T));
    return true;
  }
};

}  // namespace forknet

#endif  // FORKNET_BYTES_H_
