// Netlink's methods: check the arguments, call the plain C++, convert the result.
#include "addon/netlink.h"

#include <cerrno>

#include "addon/convert.h"
#include "addon/error.h"
#include "addon/fields.h"
#include "addon/results.h"
#include "flow.h"

namespace forknet {
namespace {

constexpr uint32_t kDefaultReceiveTimeoutMs = 10'000;

std::optional<int32_t> MaybeIfindex(Napi::Value value, const char* where) {
  if (value.IsUndefined()) return std::nullopt;
  return static_cast<int32_t>(CheckInteger(value, 1, kMaxIfindex, where));
}

int32_t Ifindex(Napi::Value value, const char* where) {
  return static_cast<int32_t>(CheckInteger(value, 1, kMaxIfindex, where));
}

MessageBuilder Encoded(Napi::Value messages, const Psched& psched) {
  const std::vector<Request> requests = ToRequests(messages);
  MessageBuilder builder;
  for (const Request& request : requests) EncodeRequest(request, psched, &builder);
  return builder;
}

}  // namespace

Napi::Function Netlink::Define(Napi::Env env) {
  return DefineClass(
      env, "Netlink",
      {InstanceMethod<&Netlink::Talk>("talk"), InstanceMethod<&Netlink::Links>("links"),
       InstanceMethod<&Netlink::Link>("link"), InstanceMethod<&Netlink::Qdiscs>("qdiscs"),
       InstanceMethod<&Netlink::Classes>("classes"), InstanceMethod<&Netlink::Filters>("filters"),
       InstanceMethod<&Netlink::Addresses>("addresses"), InstanceMethod<&Netlink::Routes>("routes"),
       InstanceMethod<&Netlink::Rules>("rules"), InstanceMethod<&Netlink::Neighbors>("neighbors"),
       InstanceMethod<&Netlink::Fdb>("fdb"), InstanceMethod<&Netlink::ForgetFlows>("forgetFlows"),
       InstanceMethod<&Netlink::ForgetFlowsBut>("forgetFlowsBut"),
       InstanceMethod<&Netlink::Port>("port"), InstanceMethod<&Netlink::Close>("close")});
}

Netlink::Netlink(const Napi::CallbackInfo& info)
    : ObjectWrap(info), timeout_ms_(kDefaultReceiveTimeoutMs) {
  if (!info[0].IsUndefined()) {
    const Fields options(CheckObject(info[0], "options"), "options");
    // SO_RCVTIMEO takes 0 for "wait for ever".
    timeout_ms_ = options.MaybeInteger<uint32_t>("receiveTimeoutMs", 1).value_or(timeout_ms_);
  }
  Guarded(info.Env(), [&] {
    psched_ = Psched::Read();
    socket_.emplace(timeout_ms_);
  });
}

Socket& Netlink::Open() {
  if (!socket_) throw KernelError(EBADF, "sendto", "NETLINK_ROUTE", "the socket is closed");
  return *socket_;
}

Napi::Value Netlink::Talk(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder builder = Encoded(info[0], *psched_);
    return ToJs(info.Env(), Open().Talk(&builder));
  });
}

Napi::Value Netlink::Links(const Napi::CallbackInfo& info) {
  LinkFilter filter;
  if (!info[0].IsUndefined()) {
    const Fields fields(CheckObject(info[0], "filter"), "filter");
    filter.master = fields.MaybeInteger<int32_t>("master", 0, kMaxIfindex);
    filter.kind = fields.MaybeString("kind");
  }
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeLinkDump(filter, &request);
    const auto parse = [&](Bytes payload, LinkInfo* link) {
      return ParseLink(payload, link) && filter.Admits(*link);
    };
    return ToJs(info.Env(), Open().Dump<LinkInfo>(&request, "RTM_GETLINK", parse));
  });
}

Napi::Value Netlink::Link(const Napi::CallbackInfo& info) {
  const Fields which(CheckObject(info[0], "which"), "which");
  const std::optional<std::string> name = which.MaybeLinkName("name");
  MessageBuilder request;
  if (name) {
    EncodeLinkGet(*name, &request);
  } else {
    EncodeLinkGet(which.Ifindex(), &request);
  }
  return Guarded(info.Env(), [&]() -> Napi::Value {
    try {
      const std::vector<uint8_t> reply = Open().Get(&request, "RTM_GETLINK");
      LinkInfo link;
      if (!ParseLink({reply.data(), reply.size()}, &link)) {
        throw KernelError(EBADMSG, "RTM_GETLINK");
      }
      return ToJs(info.Env(), link);
    } catch (const KernelError& error) {
      if (error.error() != ENODEV) throw;
      return info.Env().Undefined();
    }
  });
}

Napi::Value Netlink::Qdiscs(const Napi::CallbackInfo& info) {
  const std::optional<int32_t> ifindex = MaybeIfindex(info[0], "ifindex");
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeQdiscDump(&request);
    const auto parse = [&](Bytes payload, QdiscInfo* qdisc) {
      return ParseQdisc(payload, *psched_, qdisc) && (!ifindex || qdisc->ifindex == *ifindex);
    };
    return ToJs(info.Env(), Open().Dump<QdiscInfo>(&request, "RTM_GETQDISC", parse));
  });
}

Napi::Value Netlink::Classes(const Napi::CallbackInfo& info) {
  const int32_t ifindex = Ifindex(info[0], "ifindex");
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeClassDump(ifindex, &request);
    const auto parse = [&](Bytes payload, ClassInfo* entry) {
      return ParseClass(payload, *psched_, entry);
    };
    return ToJs(info.Env(), Open().Dump<ClassInfo>(&request, "RTM_GETTCLASS", parse));
  });
}

Napi::Value Netlink::Filters(const Napi::CallbackInfo& info) {
  const int32_t ifindex = Ifindex(info[0], "ifindex");
  const auto parent = static_cast<uint32_t>(CheckInteger(info[1], 0, UINT32_MAX, "parent"));
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeFilterDump(ifindex, parent, &request);
    return ToJs(info.Env(), Open().Dump<FilterInfo>(&request, "RTM_GETTFILTER", ParseFilter));
  });
}

Napi::Value Netlink::Addresses(const Napi::CallbackInfo& info) {
  const std::optional<int32_t> ifindex = MaybeIfindex(info[0], "ifindex");
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeAddressDump(ifindex, &request);
    return ToJs(info.Env(), Open().Dump<AddressInfo>(&request, "RTM_GETADDR", ParseAddress));
  });
}

Napi::Value Netlink::Routes(const Napi::CallbackInfo& info) {
  std::optional<uint8_t> prefix_length;
  if (!info[0].IsUndefined()) {
    const Fields filter(CheckObject(info[0], "filter"), "filter");
    prefix_length = filter.MaybeInteger<uint8_t>("prefixLength", 0, 32);
  }
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeRouteDump(&request);
    const auto parse = [&](Bytes payload, RouteInfo* route) {
      return ParseRoute(payload, route) &&
             route->prefix_length == prefix_length.value_or(route->prefix_length);
    };
    return ToJs(info.Env(), Open().Dump<RouteInfo>(&request, "RTM_GETROUTE", parse));
  });
}

Napi::Value Netlink::Rules(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeRuleDump(&request);
    return ToJs(info.Env(), Open().Dump<RuleInfo>(&request, "RTM_GETRULE", ParseRule));
  });
}

Napi::Value Netlink::Neighbors(const Napi::CallbackInfo& info) {
  const std::optional<int32_t> ifindex = MaybeIfindex(info[0], "ifindex");
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeNeighborDump(ifindex, &request);
    return ToJs(info.Env(), Open().Dump<NeighborInfo>(&request, "RTM_GETNEIGH", ParseNeighbor));
  });
}

Napi::Value Netlink::Fdb(const Napi::CallbackInfo& info) {
  const int32_t bridge = Ifindex(info[0], "bridgeIfindex");
  return Guarded(info.Env(), [&]() -> Napi::Value {
    MessageBuilder request;
    EncodeFdbDump(bridge, &request);
    const auto parse = [&](Bytes payload, FdbInfo* entry) {
      return ParseFdb(payload, bridge, entry);
    };
    return ToJs(info.Env(), Open().Dump<FdbInfo>(&request, "RTM_GETNEIGH", parse));
  });
}

Napi::Value Netlink::ForgetFlows(const Napi::CallbackInfo& info) {
  const std::vector<uint32_t> ips = CheckIntegers(info[0], 0, "an array of addresses", "ips");
  return Guarded(info.Env(), [&] {
    const size_t forgotten = forknet::ForgetFlows({ips.begin(), ips.end()}, FlowSocket());
    return Napi::Number::New(info.Env(), static_cast<double>(forgotten));
  });
}

Napi::Value Netlink::ForgetFlowsBut(const Napi::CallbackInfo& info) {
  const std::vector<uint32_t> kept = CheckIntegers(info[0], 0, "an array of addresses", "kept");
  const auto network = static_cast<uint32_t>(CheckInteger(info[1], 0, UINT32_MAX, "network"));
  const auto mask = static_cast<uint32_t>(CheckInteger(info[2], 0, UINT32_MAX, "mask"));
  return Guarded(info.Env(), [&] {
    const size_t forgotten =
        forknet::ForgetFlowsBut({kept.begin(), kept.end()}, network, mask, FlowSocket());
    return Napi::Number::New(info.Env(), static_cast<double>(forgotten));
  });
}

Socket* Netlink::FlowSocket() {
  Open();  // After close() nothing is opened again.
  if (!flows_) flows_.emplace(timeout_ms_, kNetfilterProtocol);
  return &*flows_;
}

Napi::Value Netlink::Port(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), Open().port()); });
}

void Netlink::Close(const Napi::CallbackInfo&) {
  socket_.reset();
  flows_.reset();
}

Napi::Value EncodeMessages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    MessageBuilder builder = Encoded(info[0], Psched::Read());
    builder.Number(1);
    Napi::Array buffers = Napi::Array::New(env);
    for (size_t from = 0; from < builder.count();) {
      size_t to = from + 1;
      while (to < builder.count() && builder.Follows(to)) to++;
      const Bytes bytes = builder.Range(from, to);
      buffers.Set(buffers.Length(), Napi::Buffer<uint8_t>::Copy(env, bytes.data, bytes.size));
      from = to;
    }
    return buffers;
  });
}

}  // namespace forknet
