// The Monitor class of src/kernel/binding.ts: one listening socket, wrapped.
#ifndef FORKNET_ADDON_MONITOR_H_
#define FORKNET_ADDON_MONITOR_H_

#include <napi.h>

#include <optional>

#include "netlink/monitor.h"

namespace forknet {

class MonitorObject : public Napi::ObjectWrap<MonitorObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit MonitorObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Read(const Napi::CallbackInfo& info);
  void LeaveOut(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::optional<Monitor> monitor_;
};

}  // namespace forknet

#endif  // FORKNET_ADDON_MONITOR_H_
