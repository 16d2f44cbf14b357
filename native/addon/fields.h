// Reads the fields of a JavaScript object strictly: wrong type, out of range or missing is a
// TypeError that names the field. undefined counts as absent, null does not.
#ifndef FORKNET_ADDON_FIELDS_H_
#define FORKNET_ADDON_FIELDS_H_

#include <napi.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace forknet {

/** The largest number a JavaScript double counts to without gaps. */
constexpr uint64_t kMaxSafe = (uint64_t{1} << 53) - 1;
constexpr uint64_t kMaxIfindex = 0x7fffffff;

/** "Expected <what> for <where>, but received <value>". */
Napi::TypeError Unexpected(const char* what, const std::string& where, Napi::Value value);

/** Whole number from `least` to `most`; throws the TypeError otherwise. */
uint64_t CheckInteger(Napi::Value value, uint64_t least, uint64_t most, const std::string& where);
bool CheckBoolean(Napi::Value value, const std::string& where);
std::string CheckString(Napi::Value value, const std::string& where);
Napi::Object CheckObject(Napi::Value value, const std::string& where);

class Fields {
 public:
  /** `where` is how errors call the object: "messages[3] (link.set)" or "openTap options". */
  Fields(Napi::Object object, std::string where) : object_(object), where_(std::move(where)) {}

  template <class T>
  T Integer(const char* key, uint64_t least = 0,
            uint64_t most = std::numeric_limits<T>::max()) const {
    return static_cast<T>(CheckInteger(object_.Get(key), least, most, Where(key)));
  }
  template <class T>
  std::optional<T> MaybeInteger(const char* key, uint64_t least = 0,
                                uint64_t most = std::numeric_limits<T>::max()) const {
    const Napi::Value value = object_.Get(key);
    if (value.IsUndefined()) return std::nullopt;
    return static_cast<T>(CheckInteger(value, least, most, Where(key)));
  }
  std::optional<bool> MaybeBoolean(const char* key) const;
  std::string String(const char* key) const;
  std::optional<std::string> MaybeString(const char* key) const;

  int32_t Ifindex(const char* key = "ifindex") const;
  uint64_t Mac(const char* key) const;
  std::optional<uint64_t> MaybeMac(const char* key) const;
  std::string LinkName(const char* key) const;
  std::optional<std::string> MaybeLinkName(const char* key) const;
  std::optional<std::string> MaybeAlias(const char* key) const;
  /** Bytes per second, rounded down; less than 1 is refused. */
  uint64_t Rate(const char* key) const;

  [[noreturn]] void Refuse(const char* key, const char* expected) const;

 private:
  std::string Where(const char* key) const { return where_ + "." + key; }

  Napi::Object object_;
  std::string where_;
};

}  // namespace forknet

#endif  // FORKNET_ADDON_FIELDS_H_
