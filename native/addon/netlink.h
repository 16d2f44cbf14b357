// The Netlink class of src/kernel/binding.ts: a socket for links and queues, and one for flows,
// wrapped.
#ifndef FORKNET_ADDON_NETLINK_H_
#define FORKNET_ADDON_NETLINK_H_

#include <napi.h>

#include <optional>

#include "netlink/socket.h"
#include "psched.h"

namespace forknet {

class Netlink : public Napi::ObjectWrap<Netlink> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit Netlink(const Napi::CallbackInfo& info);

 private:
  Napi::Value Talk(const Napi::CallbackInfo& info);
  Napi::Value Links(const Napi::CallbackInfo& info);
  Napi::Value Link(const Napi::CallbackInfo& info);
  Napi::Value Qdiscs(const Napi::CallbackInfo& info);
  Napi::Value Classes(const Napi::CallbackInfo& info);
  Napi::Value Filters(const Napi::CallbackInfo& info);
  Napi::Value Addresses(const Napi::CallbackInfo& info);
  Napi::Value Routes(const Napi::CallbackInfo& info);
  Napi::Value Rules(const Napi::CallbackInfo& info);
  Napi::Value Neighbors(const Napi::CallbackInfo& info);
  Napi::Value Fdb(const Napi::CallbackInfo& info);
  Napi::Value ForgetFlows(const Napi::CallbackInfo& info);
  Napi::Value ForgetFlowsBut(const Napi::CallbackInfo& info);
  Napi::Value Port(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  /** The socket, or an EBADF error after close(). */
  Socket& Open();
  /** That of connection tracking, or the same error. */
  Socket* FlowSocket();

  uint32_t timeout_ms_;
  std::optional<Socket> socket_;
  /** Opened when it is first needed. */
  std::optional<Socket> flows_;
  std::optional<Psched> psched_;
};

/** `encode()` of the binding: one buffer per message, sequence numbers from 1. */
Napi::Value EncodeMessages(const Napi::CallbackInfo& info);

}  // namespace forknet

#endif  // FORKNET_ADDON_NETLINK_H_
