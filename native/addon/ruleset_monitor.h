// The RulesetMonitor class of src/kernel/listeners.ts: one listening socket, wrapped.
#ifndef FORKNET_ADDON_RULESET_MONITOR_H_
#define FORKNET_ADDON_RULESET_MONITOR_H_

#include <napi.h>

#include <optional>

#include "netlink/ruleset_monitor.h"

namespace forknet {

class RulesetMonitorObject : public Napi::ObjectWrap<RulesetMonitorObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit RulesetMonitorObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Read(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::optional<RulesetMonitor> monitor_;
};

}  // namespace forknet

#endif  // FORKNET_ADDON_RULESET_MONITOR_H_
