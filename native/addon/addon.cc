// The addon's exports: the Netlink class and the plain functions of src/kernel/binding.ts.
// Every environment (main thread, each worker) has its own state, in environment.h and in objects.
#include <napi.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "addon/bpf.h"
#include "addon/environment.h"
#include "addon/error.h"
#include "addon/fields.h"
#include "addon/monitor.h"
#include "addon/netlink.h"
#include "addon/ruleset_monitor.h"
#include "boot_clock.h"
#include "netns.h"
#include "process_lock.h"
#include "tap.h"
#include "unix_socket.h"
#include "wire.h"

namespace forknet {
namespace {

// The kernel takes the largest uid and gid for "nobody in particular".
constexpr uint32_t kLargestId = UINT32_MAX - 1;

int Fd(Napi::Value value, const char* where) {
  return static_cast<int>(CheckInteger(value, 0, INT32_MAX, where));
}

Napi::Value OpenTapJs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Fields fields(CheckObject(info[0], "options"), "options");
  TapOptions options;
  options.name = fields.LinkName("name");
  options.owner = fields.MaybeInteger<uint32_t>("owner", 0, kLargestId);
  options.group = fields.MaybeInteger<uint32_t>("group", 0, kLargestId);
  options.vnet_hdr = fields.MaybeBoolean("vnetHdr").value_or(false);
  options.multi_queue = fields.MaybeBoolean("multiQueue").value_or(false);
  options.offload = fields.MaybeBoolean("offload").value_or(false);
  options.exclusive = fields.MaybeBoolean("exclusive").value_or(false);
  options.non_blocking = fields.MaybeBoolean("nonBlocking").value_or(false);
  return Guarded(env, [&]() -> Napi::Value {
    Tap tap = OpenTap(options, Environment::Of(env).lookup);
    Napi::Object result = Napi::Object::New(env);
    result.Set("ifindex", Napi::Number::New(env, tap.ifindex));
    result.Set("name", Napi::String::New(env, tap.name));
    result.Set("fd", Napi::Number::New(env, tap.fd.get()));
    Environment::Of(env).fds.Hold(std::move(tap.fd));
    return result;
  });
}

void SetTapPersistentJs(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  const bool persistent = CheckBoolean(info[1], "persistent");
  Guarded(info.Env(), [&] { SetTapPersistent(fd, persistent); });
}

uint32_t Id(Napi::Value value, const char* where) {
  return static_cast<uint32_t>(CheckInteger(value, 0, kLargestId, where));
}

void SetTapOwnerJs(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  const uint32_t uid = Id(info[1], "uid");
  Guarded(info.Env(), [&] { SetTapOwner(fd, uid); });
}

void SetTapGroupJs(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  const uint32_t gid = Id(info[1], "gid");
  Guarded(info.Env(), [&] { SetTapGroup(fd, gid); });
}

void CloseFd(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  Guarded(info.Env(), [&] {
    HeldFds::Forget(fd);
    // EINTR has closed it all the same.
    if (close(fd) && errno != EINTR) throw KernelError(errno, "close");
  });
}

Napi::Value TakeOver(const Napi::CallbackInfo& info) {
  const std::vector<uint32_t> given = CheckIntegers(info[0], 0, "an array of descriptors", "fds");
  const std::vector<int> fds(given.begin(), given.end());
  return Napi::Boolean::New(info.Env(), Environment::Of(info.Env()).fds.TakeOver(fds));
}

Napi::Value LinkFlags(const Napi::CallbackInfo& info) {
  const auto ifindex = static_cast<int32_t>(CheckInteger(info[0], 1, INT32_MAX, "ifindex"));
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const std::optional<uint16_t> flags = Environment::Of(env).lookup.FlagsOf(ifindex);
    if (!flags) return env.Undefined();
    return Napi::Number::New(env, *flags);
  });
}

Napi::Value BootMsJs(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(BootMs()));
}

void UnshareNetworkJs(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] { UnshareNetwork(); });
  Environment::Of(info.Env()).lookup.Renew();
}

std::string Path(Napi::Value value) {
  std::string path = CheckString(value, "path");
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Unexpected("a path", "path", value);
  }
  return path;
}

void EnterNetworkJs(const Napi::CallbackInfo& info) {
  const std::string path = Path(info[0]);
  Guarded(info.Env(), [&] { EnterNetwork(path); });
  Environment::Of(info.Env()).lookup.Renew();
}

void WireJs(const Napi::CallbackInfo& info) {
  const int fd_a = Fd(info[0], "fdA");
  const int fd_b = Fd(info[1], "fdB");
  std::optional<int> stop_fd;
  if (!info[2].IsUndefined()) stop_fd = Fd(info[2], "stopFd");
  Guarded(info.Env(), [&] { Wire(fd_a, fd_b, stop_fd); });
}

Napi::Object ToJs(Napi::Env env, const Peer& peer) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  return result;
}

Napi::Object ToJs(Napi::Env env, Connection connection) {
  Napi::Object result = ToJs(env, connection.peer);
  result.Set("fd", Napi::Number::New(env, connection.fd.get()));
  connection.fd.Release();  // JavaScript owns it from here.
  return result;
}

std::string AbstractName(const Napi::Value& value) {
  const std::string name = CheckString(value, "name");
  if (name.empty() || name.size() > kMaxSocketNameBytes) {
    throw Unexpected("1 to 107 bytes", "name", value);
  }
  return name;
}

Napi::Value LockAbstractJs(const Napi::CallbackInfo& info) {
  const std::string name = AbstractName(info[0]);
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    Lock lock = LockAbstract(name);
    Napi::Object result = Napi::Object::New(env);
    if (lock.fd.valid()) {
      result.Set("fd", Napi::Number::New(env, lock.fd.get()));
      lock.fd.Release();  // JavaScript owns it from here.
    } else {
      result.Set("holder", lock.holder ? ToJs(env, *lock.holder) : env.Undefined());
    }
    return result;
  });
}

Napi::Value ConnectAbstractJs(const Napi::CallbackInfo& info) {
  const std::string name = AbstractName(info[0]);
  return Guarded(info.Env(), [&] { return ToJs(info.Env(), ConnectAbstract(name)); });
}

Napi::Value ConnectPathJs(const Napi::CallbackInfo& info) {
  const std::string path = Path(info[0]);
  return Guarded(info.Env(), [&] { return ToJs(info.Env(), ConnectPath(path)); });
}

Napi::Value ListenPathJs(const Napi::CallbackInfo& info) {
  const std::string path = Path(info[0]);
  return Guarded(info.Env(), [&] {
    UniqueFd fd = ListenPath(path);
    Napi::Number result = Napi::Number::New(info.Env(), fd.get());
    fd.Release();  // JavaScript owns it from here.
    return result;
  });
}

Napi::Value PeerOfJs(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  return Guarded(info.Env(), [&] { return ToJs(info.Env(), PeerOf(fd)); });
}

Napi::Value LockFileJs(const Napi::CallbackInfo& info) {
  const int fd = Fd(info[0], "fd");
  return Guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), LockFile(fd)); });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment);
  exports.Set("Netlink", Netlink::Define(env));
  exports.Set("Monitor", MonitorObject::Define(env));
  exports.Set("RulesetMonitor", RulesetMonitorObject::Define(env));
  exports.Set("encode", Napi::Function::New<EncodeMessages>(env, "encode"));
  exports.Set("openTap", Napi::Function::New<OpenTapJs>(env, "openTap"));
  exports.Set("setTapPersistent", Napi::Function::New<SetTapPersistentJs>(env, "setTapPersistent"));
  exports.Set("setTapOwner", Napi::Function::New<SetTapOwnerJs>(env, "setTapOwner"));
  exports.Set("setTapGroup", Napi::Function::New<SetTapGroupJs>(env, "setTapGroup"));
  exports.Set("closeFd", Napi::Function::New<CloseFd>(env, "closeFd"));
  exports.Set("takeOver", Napi::Function::New<TakeOver>(env, "takeOver"));
  exports.Set("linkFlags", Napi::Function::New<LinkFlags>(env, "linkFlags"));
  exports.Set("bootMs", Napi::Function::New<BootMsJs>(env, "bootMs"));
  exports.Set("unshareNetwork", Napi::Function::New<UnshareNetworkJs>(env, "unshareNetwork"));
  exports.Set("enterNetwork", Napi::Function::New<EnterNetworkJs>(env, "enterNetwork"));
  exports.Set("wire", Napi::Function::New<WireJs>(env, "wire"));
  exports.Set("lockAbstract", Napi::Function::New<LockAbstractJs>(env, "lockAbstract"));
  exports.Set("connectAbstract", Napi::Function::New<ConnectAbstractJs>(env, "connectAbstract"));
  exports.Set("connectPath", Napi::Function::New<ConnectPathJs>(env, "connectPath"));
  exports.Set("listenPath", Napi::Function::New<ListenPathJs>(env, "listenPath"));
  exports.Set("peerOf", Napi::Function::New<PeerOfJs>(env, "peerOf"));
  exports.Set("lockFile", Napi::Function::New<LockFileJs>(env, "lockFile"));
  exports.Set("bpf", MakeBpf(env));
  return exports;
}

}  // namespace

// Inside the namespace, because the macro makes names out of its argument. What it exports has C
// linkage.
NODE_API_MODULE(forknet, Init)

}  // namespace forknet
