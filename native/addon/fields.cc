// Strict reading of JavaScript values.
#include "addon/fields.h"

#include <cmath>

#include "name.h"

namespace forknet {
namespace {

constexpr uint64_t kMaxMac = (uint64_t{1} << 48) - 1;
constexpr size_t kShownBytes = 64;

std::string Show(Napi::Value value) {
  if (value.IsString()) {
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
    return "'" + text + "'";
  }
  if (value.IsArray()) return "an array";
  if (value.IsFunction()) return "a function";
  if (value.IsObject()) return "an object";
  if (value.IsSymbol()) return "a symbol";
  return value.ToString().Utf8Value();
}

}  // namespace

std::string Where::Text() const {
  std::string text = name;
  if (index) text += "[" + std::to_string(*index) + "]";
  if (!operation.empty()) text += " (" + std::string(operation) + ")";
  if (key) text += std::string(".") + key;
  return text;
}

Napi::Value PropertyNames::Of(const char* key) {
  const auto bits = reinterpret_cast<uintptr_t>(key);
  auto& [owner, name] = names_[(bits ^ (bits >> 7)) % kPlaces];
  if (owner != key) {
    owner = key;
    name = Napi::String::New(env_, key);
  }
  return {env_, name};
}

Napi::TypeError Unexpected(const char* what, const Where& where, Napi::Value value) {
  return Napi::TypeError::New(value.Env(), std::string("Expected ") + what + " for " +
                                               where.Text() + ", but received " + Show(value));
}

uint64_t CheckInteger(Napi::Value value, uint64_t least, uint64_t most, const Where& where) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    // Also false for NaN.
    if (number >= static_cast<double>(least) && number <= static_cast<double>(most) &&
        std::floor(number) == number) {
      return static_cast<uint64_t>(number);
    }
  }
  const std::string what =
      "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  throw Unexpected(what.c_str(), where, value);
}

std::vector<uint32_t> CheckIntegers(Napi::Value value, uint32_t least, const char* what,
                                    const Where& where) {
  if (!value.IsArray()) throw Unexpected(what, where, value);
  const auto array = value.As<Napi::Array>();
  std::vector<uint32_t> numbers;
  numbers.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); i++) {
    numbers.push_back(static_cast<uint32_t>(CheckInteger(array.Get(i), least, UINT32_MAX, where)));
  }
  return numbers;
}

bool CheckBoolean(Napi::Value value, const Where& where) {
  if (!value.IsBoolean()) throw Unexpected("a boolean", where, value);
  return value.As<Napi::Boolean>().Value();
}

std::string CheckString(Napi::Value value, const Where& where) {
  if (!value.IsString()) throw Unexpected("a string", where, value);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object CheckObject(Napi::Value value, const Where& where) {
  if (!value.IsObject() || value.IsFunction()) throw Unexpected("an object", where, value);
  return value.As<Napi::Object>();
}

void Fields::Refuse(const char* key, const char* expected) const {
  throw Unexpected(expected, At(key), Get(key));
}

std::optional<bool> Fields::MaybeBoolean(const char* key) const {
  const Napi::Value value = Get(key);
  if (value.IsUndefined()) return std::nullopt;
  return CheckBoolean(value, At(key));
}

std::string Fields::String(const char* key) const { return CheckString(Get(key), At(key)); }

std::optional<std::string> Fields::MaybeString(const char* key) const {
  const Napi::Value value = Get(key);
  if (value.IsUndefined()) return std::nullopt;
  return CheckString(value, At(key));
}

int32_t Fields::Ifindex(const char* key) const { return Integer<int32_t>(key, 1, kMaxIfindex); }

uint64_t Fields::Mac(const char* key) const { return Integer<uint64_t>(key, 0, kMaxMac); }

std::optional<uint64_t> Fields::MaybeMac(const char* key) const {
  return MaybeInteger<uint64_t>(key, 0, kMaxMac);
}

std::string Fields::LinkName(const char* key) const {
  std::string name = String(key);
  if (!ValidLinkName(name)) {
    Refuse(key, "a link name (1 to 15 bytes, no '/', ':', '%' or whitespace)");
  }
  return name;
}

std::optional<std::string> Fields::MaybeLinkName(const char* key) const {
  if (Get(key).IsUndefined()) return std::nullopt;
  return LinkName(key);
}

std::optional<std::string> Fields::MaybeAlias(const char* key) const {
  std::optional<std::string> alias = MaybeString(key);
  if (alias && !ValidAlias(*alias)) Refuse(key, "at most 255 bytes without NUL");
  return alias;
}

uint64_t Fields::Rate(const char* key) const {
  const Napi::Value value = Get(key);
  const double rate = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  // Also refuses NaN.
  if (!(rate >= 1 && rate <= static_cast<double>(kMaxSafe))) {
    Refuse(key, "a rate from 1 to 2^53 - 1 bytes per second");
  }
  return static_cast<uint64_t>(rate);
}

}  // namespace forknet
