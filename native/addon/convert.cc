// Messages about links, ports, neighbours, addresses and routes, from objects to structures.
#include "addon/convert.h"

namespace forknet {
namespace {

constexpr uint64_t kMaxPrefixLength = 32;
constexpr uint64_t kMaxPortState = 4;  // BR_STATE_BLOCKING

bool NoAddressGeneration(const Fields& fields) {
  const std::optional<std::string> mode = fields.MaybeString("addressGeneration");
  if (!mode) return false;
  if (*mode != "none") fields.Refuse("addressGeneration", "'none'");
  return true;
}

LinkCreate ToLinkCreate(const Fields& fields) {
  LinkCreate link;
  link.name = fields.LinkName("name");
  link.kind = fields.String("kind");
  if (link.kind != "bridge" && link.kind != "ifb") fields.Refuse("kind", "'bridge' or 'ifb'");
  link.mac = fields.MaybeMac("mac");
  link.mtu = fields.MaybeInteger<uint32_t>("mtu", 1, kMaxIfindex);
  link.tx_queue_length = fields.MaybeInteger<uint32_t>("txQueueLength");
  link.alias = fields.MaybeAlias("alias");
  link.multicast_snooping = fields.MaybeBoolean("multicastSnooping");
  link.vlan_filtering = fields.MaybeBoolean("vlanFiltering");
  if (link.kind != "bridge" && link.multicast_snooping) {
    fields.Refuse("multicastSnooping", "nothing, the link not being a bridge,");
  }
  if (link.kind != "bridge" && link.vlan_filtering) {
    fields.Refuse("vlanFiltering", "nothing, the link not being a bridge,");
  }
  link.no_address_generation = NoAddressGeneration(fields);
  return link;
}

LinkSet ToLinkSet(const Fields& fields) {
  LinkSet link;
  link.ifindex = fields.Ifindex();
  link.master = fields.MaybeInteger<int32_t>("master", 0, kMaxIfindex);
  link.up = fields.MaybeBoolean("up");
  link.group = fields.MaybeInteger<uint32_t>("group");
  link.alias = fields.MaybeAlias("alias");
  link.name = fields.MaybeLinkName("name");
  link.tx_queue_length = fields.MaybeInteger<uint32_t>("txQueueLength");
  link.mtu = fields.MaybeInteger<uint32_t>("mtu", 1, kMaxIfindex);
  link.mac = fields.MaybeMac("mac");
  link.no_address_generation = NoAddressGeneration(fields);
  link.forwarding = fields.MaybeBoolean("forwarding");
  link.send_redirects = fields.MaybeBoolean("sendRedirects");
  return link;
}

PortSet ToPortSet(const Fields& fields) {
  PortSet port;
  port.ifindex = fields.Ifindex();
  port.state = fields.MaybeInteger<uint8_t>("state", 0, kMaxPortState);
  port.isolated = fields.MaybeBoolean("isolated");
  port.learning = fields.MaybeBoolean("learning");
  port.unicast_flood = fields.MaybeBoolean("unicastFlood");
  port.multicast_flood = fields.MaybeBoolean("multicastFlood");
  port.broadcast_flood = fields.MaybeBoolean("broadcastFlood");
  return port;
}

uint32_t Ip(const Fields& fields, const char* key) { return fields.Integer<uint32_t>(key); }

template <class T>
T ToAddress(const Fields& fields) {
  return {fields.Ifindex(), Ip(fields, "ip"),
          fields.Integer<uint8_t>("prefixLength", 0, kMaxPrefixLength)};
}

RouteAdd ToRouteAdd(const Fields& fields) {
  RouteAdd route;
  route.destination = Ip(fields, "destination");
  route.prefix_length = fields.Integer<uint8_t>("prefixLength", 0, kMaxPrefixLength);
  route.gateway = fields.MaybeInteger<uint32_t>("gateway");
  route.ifindex = fields.Ifindex();
  return route;
}

/** nullopt when `op` is none of these. */
std::optional<Request> ToLinkRequest(const std::string& op, const Fields& fields) {
  if (op == "link.create") return ToLinkCreate(fields);
  if (op == "link.set") return ToLinkSet(fields);
  if (op == "link.delete") return LinkDelete{fields.Ifindex()};
  if (op == "link.deleteGroup") return LinkDeleteGroup{fields.Integer<uint32_t>("group", 1)};
  if (op == "port.set") return ToPortSet(fields);
  if (op == "fdb.add") return FdbAdd{fields.Ifindex(), fields.Mac("mac")};
  if (op == "fdb.delete") return FdbDelete{fields.Ifindex(), fields.Mac("mac")};
  if (op == "neighbor.set") {
    return NeighborSet{fields.Ifindex(), Ip(fields, "ip"), fields.Mac("mac")};
  }
  if (op == "neighbor.delete") return NeighborDelete{fields.Ifindex(), Ip(fields, "ip")};
  if (op == "neighbor.table") {
    return NeighborTable{fields.Ifindex(), fields.Integer<uint32_t>("multicastProbes")};
  }
  if (op == "address.add") return ToAddress<AddressAdd>(fields);
  if (op == "address.delete") return ToAddress<AddressDelete>(fields);
  if (op == "route.add") return ToRouteAdd(fields);
  return std::nullopt;
}

Request ToRequest(Napi::Value message, uint32_t index, PropertyNames* names) {
  Where where = "messages";
  where.index = index;
  const Napi::Object object = CheckObject(message, where);
  const std::string op = Fields(object, where, names).String("op");
  Where with_operation = where;
  with_operation.operation = op;
  const Fields fields(object, with_operation, names);
  std::optional<Request> request = ToLinkRequest(op, fields);
  if (!request) request = ToTcRequest(op, fields);
  if (!request) Fields(object, where, names).Refuse("op", "a known operation");
  return *std::move(request);
}

}  // namespace

std::vector<Request> ToRequests(Napi::Value messages) {
  if (!messages.IsArray()) throw Unexpected("an array", "messages", messages);
  const auto array = messages.As<Napi::Array>();
  std::vector<Request> requests;
  const uint32_t count = array.Length();
  requests.reserve(count);
  PropertyNames names(messages.Env());
  for (uint32_t i = 0; i < count; i++) requests.push_back(ToRequest(array.Get(i), i, &names));
  return requests;
}

}  // namespace forknet
