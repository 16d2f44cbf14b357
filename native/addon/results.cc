// Structures to objects, field by field.
#include "addon/results.h"

namespace forknet {
namespace {

/** An object under construction. Numbers beyond 2^53 lose their last digits, as all do in
 * JavaScript. */
class Builder {
 public:
  explicit Builder(Napi::Env env) : env_(env), object_(Napi::Object::New(env)) {}

  template <class T>
  Builder& Number(const char* key, T value) {
    object_.Set(key, Napi::Number::New(env_, static_cast<double>(value)));
    return *this;
  }
  Builder& Flag(const char* key, bool value) {
    object_.Set(key, Napi::Boolean::New(env_, value));
    return *this;
  }
  Builder& Text(const char* key, const std::string& value) {
    object_.Set(key, Napi::String::New(env_, value));
    return *this;
  }
  Builder& Object(const char* key, Napi::Object value) {
    object_.Set(key, value);
    return *this;
  }
  Napi::Object Done() const { return object_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

Napi::Object Port(Napi::Env env, const PortInfo& port) {
  return Builder(env)
      .Number("state", port.state)
      .Flag("isolated", port.isolated)
      .Flag("learning", port.learning)
      .Flag("unicastFlood", port.unicast_flood)
      .Flag("multicastFlood", port.multicast_flood)
      .Flag("broadcastFlood", port.broadcast_flood)
      .Done();
}

Napi::Object Bridge(Napi::Env env, const BridgeInfo& bridge) {
  Builder result(env);
  result.Flag("multicastSnooping", bridge.multicast_snooping)
      .Flag("vlanFiltering", bridge.vlan_filtering)
      .Number("stpState", bridge.stp_state)
      .Number("forwardDelayMs", bridge.forward_delay_ms);
  if (bridge.default_vlan) result.Number("defaultVlan", *bridge.default_vlan);
  return result.Done();
}

Napi::Object Tun(Napi::Env env, const TunInfo& tun) {
  Builder result(env);
  result.Flag("tap", tun.tap)
      .Flag("persistent", tun.persistent)
      .Flag("vnetHdr", tun.vnet_hdr)
      .Flag("multiQueue", tun.multi_queue);
  if (tun.owner) result.Number("owner", *tun.owner);
  if (tun.group) result.Number("group", *tun.group);
  if (tun.queues) result.Number("queues", *tun.queues);
  return result.Done();
}

Napi::Object Stats(Napi::Env env, const TcStats& stats) {
  return Builder(env)
      .Number("bytes", stats.bytes)
      .Number("packets", stats.packets)
      .Number("drops", stats.drops)
      .Number("overlimits", stats.overlimits)
      .Number("backlogBytes", stats.backlog_bytes)
      .Number("queueLength", stats.queue_length)
      .Done();
}

}  // namespace

Napi::Object ToJs(Napi::Env env, const LinkInfo& link) {
  Builder result(env);
  result.Number("ifindex", link.ifindex)
      .Text("name", link.name)
      .Text("kind", link.kind)
      .Number("master", link.master)
      .Flag("up", link.up)
      .Flag("lowerUp", link.lower_up)
      .Flag("running", link.running)
      .Number("mac", link.mac)
      .Number("mtu", link.mtu)
      .Number("group", link.group)
      .Text("alias", link.alias)
      .Number("txQueueLength", link.tx_queue_length)
      .Number("carrierUps", link.carrier_ups)
      .Flag("forwarding", link.forwarding)
      .Flag("sendRedirects", link.send_redirects);
  if (link.port) result.Object("port", Port(env, *link.port));
  if (link.bridge) result.Object("bridge", Bridge(env, *link.bridge));
  if (link.tun) result.Object("tun", Tun(env, *link.tun));
  return result.Done();
}

Napi::Object ToJs(Napi::Env env, const QdiscInfo& qdisc) {
  Builder result(env);
  result.Number("ifindex", qdisc.ifindex)
      .Text("kind", qdisc.kind)
      .Number("handle", qdisc.handle)
      .Number("parent", qdisc.parent)
      .Object("stats", Stats(env, qdisc.stats));
  if (qdisc.tbf) {
    Builder tbf(env);
    tbf.Number("rate", qdisc.tbf->rate)
        .Number("burstBytes", qdisc.tbf->burst_bytes)
        .Number("limitBytes", qdisc.tbf->limit_bytes);
    result.Object("tbf", tbf.Done());
  }
  if (qdisc.htb) {
    Builder htb(env);
    htb.Number("defaultMinor", qdisc.htb->default_minor)
        .Number("directPackets", qdisc.htb->direct_packets);
    result.Object("htb", htb.Done());
  }
  if (qdisc.bfifo) {
    result.Object("bfifo", Builder(env).Number("limitBytes", qdisc.bfifo->limit_bytes).Done());
  }
  return result.Done();
}

Napi::Object ToJs(Napi::Env env, const ClassInfo& entry) {
  return Builder(env)
      .Number("ifindex", entry.ifindex)
      .Text("kind", entry.kind)
      .Number("handle", entry.handle)
      .Number("parent", entry.parent)
      .Number("leaf", entry.leaf)
      .Number("rate", entry.rate)
      .Number("ceil", entry.ceil)
      .Number("burstBytes", entry.burst_bytes)
      .Number("cburstBytes", entry.cburst_bytes)
      .Number("quantumBytes", entry.quantum_bytes)
      .Object("stats", Stats(env, entry.stats))
      .Done();
}

Napi::Object ToJs(Napi::Env env, const FilterInfo& filter) {
  Builder result(env);
  result.Number("ifindex", filter.ifindex)
      .Text("kind", filter.kind)
      .Number("parent", filter.parent)
      .Number("priority", filter.priority)
      .Number("protocol", filter.protocol)
      .Number("handle", filter.handle);
  if (filter.bpf) {
    Builder bpf(env);
    bpf.Text("name", filter.bpf->name)
        .Number("programId", filter.bpf->program_id)
        .Text("tag", filter.bpf->tag)
        .Flag("directAction", filter.bpf->direct_action)
        .Number("classid", filter.bpf->classid);
    if (filter.bpf->redirect_ifindex) bpf.Number("redirectTo", *filter.bpf->redirect_ifindex);
    result.Object("bpf", bpf.Done());
  }
  return result.Done();
}

Napi::Object ToJs(Napi::Env env, const AddressInfo& address) {
  return Builder(env)
      .Number("ifindex", address.ifindex)
      .Number("ip", address.ip)
      .Number("prefixLength", address.prefix_length)
      .Done();
}

Napi::Object ToJs(Napi::Env env, const RouteInfo& route) {
  Builder result(env);
  result.Number("destination", route.destination)
      .Number("prefixLength", route.prefix_length)
      .Number("ifindex", route.ifindex)
      .Number("gateway", route.gateway)
      .Number("metric", route.metric)
      .Number("table", route.table)
      .Number("type", route.type);
  if (!route.hops.empty()) {
    const Napi::Array hops = Napi::Array::New(env, route.hops.size());
    for (uint32_t i = 0; i < route.hops.size(); i++) {
      hops.Set(i, Napi::Number::New(env, route.hops[i]));
    }
    result.Object("hops", hops);
  }
  return result.Done();
}

Napi::Object ToJs(Napi::Env env, const RuleInfo& rule) {
  return Builder(env).Number("table", rule.table).Number("action", rule.action).Done();
}

Napi::Object ToJs(Napi::Env env, const NeighborInfo& neighbor) {
  return Builder(env)
      .Number("ifindex", neighbor.ifindex)
      .Number("ip", neighbor.ip)
      .Number("mac", neighbor.mac)
      .Number("state", neighbor.state)
      .Done();
}

Napi::Object ToJs(Napi::Env env, const FdbInfo& entry) {
  return Builder(env)
      .Number("ifindex", entry.ifindex)
      .Number("mac", entry.mac)
      .Number("state", entry.state)
      .Done();
}

Napi::Value ToJs(Napi::Env env, const Ack& ack) {
  if (ack.error == 0) return env.Null();
  return Builder(env).Number("errno", ack.error).Text("text", ack.text).Done();
}

}  // namespace forknet
