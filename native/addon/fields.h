// Reads the fields of a JavaScript object strictly: wrong type, out of range or missing is a
// TypeError that names the field. undefined counts as absent, null does not.
#ifndef FORKNET_ADDON_FIELDS_H_
#define FORKNET_ADDON_FIELDS_H_

#include <napi.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace forknet {

/** The largest number a JavaScript double counts to without gaps. */
constexpr uint64_t kMaxSafe = (uint64_t{1} << 53) - 1;
constexpr uint64_t kMaxIfindex = 0x7fffffff;

/** How an error calls a value. Spelled out only when there is an error: forks pass here. */
struct Where {
  // NOLINTNEXTLINE(google-explicit-constructor): an argument's name is the whole of it.
  Where(const char* argument) : name(argument) {}

  /** "fd", "options.name", "messages[3]", "messages[3] (link.set).up". */
  std::string Text() const;

  const char* name;
  std::optional<uint32_t> index;
  std::string_view operation;
  const char* key = nullptr;
};

/** "Expected <what> for <where>, but received <value>". */
Napi::TypeError Unexpected(const char* what, const Where& where, Napi::Value value);

/** Whole number from `least` to `most`; throws the TypeError otherwise. */
uint64_t CheckInteger(Napi::Value value, uint64_t least, uint64_t most, const Where& where);
/** Array of such numbers; `what` is how an error calls it. */
std::vector<uint32_t> CheckIntegers(Napi::Value value, uint32_t least, const char* what,
                                    const Where& where);
bool CheckBoolean(Napi::Value value, const Where& where);
std::string CheckString(Napi::Value value, const Where& where);
Napi::Object CheckObject(Napi::Value value, const Where& where);

/**
 * Property names as JavaScript strings, each made once: a burst's messages have the same few. For
 * one call, in whose handle scope they live. A key is told by its address.
 */
class PropertyNames {
 public:
  explicit PropertyNames(Napi::Env env) : env_(env) {}
  Napi::Value Of(const char* key);

 private:
  static constexpr size_t kPlaces = 128;

  Napi::Env env_;
  std::array<std::pair<const char*, napi_value>, kPlaces> names_{};
};

class Fields {
 public:
  /** `where` is how errors call the object; `names` may be absent where speed is no matter. */
  Fields(Napi::Object object, const Where& where, PropertyNames* names = nullptr)
      : object_(object), where_(where), names_(names) {}

  template <class T>
  T Integer(const char* key, uint64_t least = 0,
            uint64_t most = std::numeric_limits<T>::max()) const {
    return static_cast<T>(CheckInteger(Get(key), least, most, At(key)));
  }
  template <class T>
  std::optional<T> MaybeInteger(const char* key, uint64_t least = 0,
                                uint64_t most = std::numeric_limits<T>::max()) const {
    const Napi::Value value = Get(key);
    if (value.IsUndefined()) return std::nullopt;
    return static_cast<T>(CheckInteger(value, least, most, At(key)));
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
  Napi::Value Get(const char* key) const {
    return names_ ? object_.Get(names_->Of(key)) : object_.Get(key);
  }
  Where At(const char* key) const {
    Where where = where_;
    where.key = key;
    return where;
  }

  Napi::Object object_;
  Where where_;
  PropertyNames* names_;
};

}  // namespace forknet

#endif  // FORKNET_ADDON_FIELDS_H_
