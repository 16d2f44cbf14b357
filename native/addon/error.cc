// The properties of a kernel error in JavaScript.
#include "addon/error.h"

#include "errno_name.h"

namespace forknet {

Napi::Error ToJs(Napi::Env env, const KernelError& error) {
  Napi::Error result = Napi::Error::New(env, error.what());
  result.Set("code", Napi::String::New(env, ErrnoName(error.error())));
  result.Set("errno", Napi::Number::New(env, -error.error()));
  result.Set("syscall", Napi::String::New(env, error.syscall()));
  return result;
}

}  // namespace forknet
