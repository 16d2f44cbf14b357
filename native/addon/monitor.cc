// Monitor's methods: check the arguments, call the plain C++, convert the result.
#include "addon/monitor.h"

#include <cerrno>
#include <vector>

#include "addon/error.h"
#include "addon/fields.h"
#include "addon/results.h"

namespace forknet {
namespace {

constexpr uint32_t kMaxDatagrams = 65'536;

}  // namespace

Napi::Function MonitorObject::Define(Napi::Env env) {
  return DefineClass(env, "Monitor",
                     {InstanceMethod<&MonitorObject::Read>("read"),
                      InstanceMethod<&MonitorObject::Close>("close")});
}

MonitorObject::MonitorObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsArray()) throw Unexpected("an array of ports", "ownPorts", info[0]);
  const auto array = info[0].As<Napi::Array>();
  std::vector<uint32_t> ports;
  for (uint32_t i = 0; i < array.Length(); i++) {
    ports.push_back(static_cast<uint32_t>(CheckInteger(array.Get(i), 1, UINT32_MAX, "ownPorts")));
  }
  Guarded(info.Env(), [&] { monitor_.emplace(ports); });
}

Napi::Value MonitorObject::Read(const Napi::CallbackInfo& info) {
  const auto datagrams = static_cast<size_t>(CheckInteger(info[0], 1, kMaxDatagrams, "datagrams"));
  return Guarded(info.Env(), [&]() -> Napi::Value {
    if (!monitor_) throw KernelError(EBADF, "recvfrom", "NETLINK_ROUTE", "the socket is closed");
    const Heard heard = monitor_->Read(datagrams);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("changes", ToJs(info.Env(), heard.changes));
    result.Set("overrun", Napi::Boolean::New(info.Env(), heard.overrun));
    result.Set("more", Napi::Boolean::New(info.Env(), heard.more));
    return result;
  });
}

void MonitorObject::Close(const Napi::CallbackInfo&) { monitor_.reset(); }

}  // namespace forknet
