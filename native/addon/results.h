// What the kernel listed, from structures to the objects of src/kernel/binding.ts.
#ifndef FORKNET_ADDON_RESULTS_H_
#define FORKNET_ADDON_RESULTS_H_

#include <napi.h>

#include <vector>

#include "dump_ip.h"
#include "dump_link.h"
#include "dump_tc.h"
#include "netlink/attributes.h"

namespace forknet {

Napi::Object ToJs(Napi::Env env, const LinkInfo& link);
Napi::Object ToJs(Napi::Env env, const QdiscInfo& qdisc);
Napi::Object ToJs(Napi::Env env, const ClassInfo& entry);
Napi::Object ToJs(Napi::Env env, const FilterInfo& filter);
Napi::Object ToJs(Napi::Env env, const AddressInfo& address);
Napi::Object ToJs(Napi::Env env, const RouteInfo& route);
Napi::Object ToJs(Napi::Env env, const RuleInfo& rule);
Napi::Object ToJs(Napi::Env env, const NeighborInfo& neighbor);
Napi::Object ToJs(Napi::Env env, const FdbInfo& entry);
/** null for an ack, the refusal otherwise. */
Napi::Value ToJs(Napi::Env env, const Ack& ack);

template <class Item>
Napi::Array ToJs(Napi::Env env, const std::vector<Item>& items) {
  Napi::Array array = Napi::Array::New(env, items.size());
  for (size_t i = 0; i < items.size(); i++) {
    const Napi::HandleScope scope(env);
    array.Set(static_cast<uint32_t>(i), ToJs(env, items[i]));
  }
  return array;
}

}  // namespace forknet

#endif  // FORKNET_ADDON_RESULTS_H_
