// RulesetMonitor's methods: call the plain C++, convert the result.
#include "addon/ruleset_monitor.h"

#include <cerrno>

#include "addon/error.h"

namespace forknet {

Napi::Function RulesetMonitorObject::Define(Napi::Env env) {
  return DefineClass(env, "RulesetMonitor",
                     {InstanceMethod<&RulesetMonitorObject::Read>("read"),
                      InstanceMethod<&RulesetMonitorObject::Close>("close")});
}

RulesetMonitorObject::RulesetMonitorObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Guarded(info.Env(), [&] { monitor_.emplace(); });
}

Napi::Value RulesetMonitorObject::Read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    if (!monitor_) {
      throw KernelError(EBADF, "recvfrom", "NETLINK_NETFILTER", "the socket is closed");
    }
    const HeardGenerations heard = monitor_->Read();
    const Napi::Array generations = Napi::Array::New(env, heard.generations.size());
    for (size_t i = 0; i < heard.generations.size(); i++) {
      const Generation& one = heard.generations[i];
      const Napi::Object generation = Napi::Object::New(env);
      generation.Set("id", Napi::Number::New(env, one.id));
      generation.Set("pid", Napi::Number::New(env, one.pid));
      generation.Set("process", Napi::String::New(env, one.process));
      generations.Set(static_cast<uint32_t>(i), generation);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("generations", generations);
    result.Set("overrun", Napi::Boolean::New(env, heard.overrun));
    return result;
  });
}

void RulesetMonitorObject::Close(const Napi::CallbackInfo&) { monitor_.reset(); }

}  // namespace forknet
