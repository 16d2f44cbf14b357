// Monitor's methods: check the arguments, call the plain C++, convert the result.
#include "addon/monitor.h"

#include <linux/if_bridge.h>

#include <cerrno>
#include <iterator>
#include <vector>

#include "addon/error.h"
#include "addon/fields.h"

namespace forknet {
namespace {

constexpr uint32_t kMaxDatagrams = 65'536;
// As src/kernel/changes.ts reads them.
constexpr size_t kNumbersPerChange = 7;

// Behind the port flags.
constexpr uint32_t kHadCarrierBit = 1U << 8;

/** Bit 0: up; bit 1: there are port flags, in the bits from 2 to 7; bit 8: it once got a carrier.
 */
uint32_t BitsOf(const LinkInfo& link) {
  uint32_t bits = (link.up ? 1 : 0) | (link.carrier_ups > 0 ? kHadCarrierBit : 0);
  if (!link.port) return bits;
  const bool flags[] = {true,
                        link.port->isolated,
                        link.port->learning,
                        link.port->unicast_flood,
                        link.port->multicast_flood,
                        link.port->broadcast_flood,
                        link.running && link.port->state != BR_STATE_FORWARDING};
  for (size_t i = 0; i < std::size(flags); i++) bits |= flags[i] ? 2U << i : 0;
  return bits;
}

std::vector<uint32_t> CheckPorts(Napi::Value value) {
  return CheckIntegers(value, 1, "an array of ports", "ownPorts");
}

void PutNumbers(const Change& change, double* out) {
  out[0] = static_cast<double>(change.object);
  out[1] = change.removed ? 1 : 0;
  out[2] = change.ifindex;
  out[3] = change.object == ChangedObject::kNeighbor ? change.ip : change.handle;
  out[4] = change.object == ChangedObject::kNeighbor || change.object == ChangedObject::kFdb
               ? static_cast<double>(change.mac)
               : change.parent;
  out[5] = change.state;
  if (!change.link) return;
  out[3] = change.link->master;
  out[4] = static_cast<double>(change.link->mac);
  out[5] = BitsOf(*change.link);
  out[6] = change.link->group;
}

}  // namespace

Napi::Function MonitorObject::Define(Napi::Env env) {
  return DefineClass(env, "Monitor",
                     {InstanceMethod<&MonitorObject::Read>("read"),
                      InstanceMethod<&MonitorObject::LeaveOut>("leaveOut"),
                      InstanceMethod<&MonitorObject::Close>("close")});
}

MonitorObject::MonitorObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const std::vector<uint32_t> ports = CheckPorts(info[0]);
  Guarded(info.Env(), [&] { monitor_.emplace(ports); });
}

void MonitorObject::LeaveOut(const Napi::CallbackInfo& info) {
  const std::vector<uint32_t> ports = CheckPorts(info[0]);
  Guarded(info.Env(), [&] {
    if (monitor_) monitor_->LeaveOut(ports);
  });
}

Napi::Value MonitorObject::Read(const Napi::CallbackInfo& info) {
  const auto datagrams = static_cast<size_t>(CheckInteger(info[0], 1, kMaxDatagrams, "datagrams"));
  return Guarded(info.Env(), [&]() -> Napi::Value {
    if (!monitor_) throw KernelError(EBADF, "recvfrom", "NETLINK_ROUTE", "the socket is closed");
    const Heard heard = monitor_->Read(datagrams);
    Napi::Object result = Napi::Object::New(info.Env());
    // A property takes as long to set as a message to receive, so there are none for a change.
    Napi::Float64Array numbers =
        Napi::Float64Array::New(info.Env(), heard.changes.size() * kNumbersPerChange);
    const Napi::Array texts = Napi::Array::New(info.Env());
    for (size_t i = 0; i < heard.changes.size(); i++) {
      const Napi::HandleScope scope(info.Env());
      const Change& change = heard.changes[i];
      PutNumbers(change, numbers.Data() + i * kNumbersPerChange);
      if (!change.link) continue;
      texts.Set(texts.Length(), Napi::String::New(info.Env(), change.link->name));
      texts.Set(texts.Length(), Napi::String::New(info.Env(), change.link->alias));
    }
    result.Set("numbers", numbers);
    result.Set("texts", texts);
    result.Set("overrun", Napi::Boolean::New(info.Env(), heard.overrun));
    result.Set("more", Napi::Boolean::New(info.Env(), heard.more));
    return result;
  });
}

void MonitorObject::Close(const Napi::CallbackInfo&) { monitor_.reset(); }

}  // namespace forknet
