// Fields by the ranges of native/addon/convert.cc and convert_tc.cc; texts that these refuse become
// empty or a plain name.
#include "fuzz/requests.h"

#include "name.h"

namespace forknet {
namespace {

constexpr uint64_t kMaxPortState = 4;
constexpr uint32_t kMaxIfindex = 0x7fffffff;
constexpr uint64_t kMaxMac = (uint64_t{1} << 48) - 1;
constexpr uint64_t kMaxRate = (uint64_t{1} << 53) - 1;
constexpr uint8_t kMaxPrefixLength = 32;
constexpr uint32_t kMaxMinor = 0xffff;

/** Takes fields from the input, in the order in which they are asked for. */
class Source {
 public:
  explicit Source(FuzzedDataProvider* input) : input_(*input) {}

  template <class T>
  T Number(T least = 0, T most = std::numeric_limits<T>::max()) {
    return input_.ConsumeIntegralInRange<T>(least, most);
  }
  template <class T>
  std::optional<T> MaybeNumber(T least = 0, T most = std::numeric_limits<T>::max()) {
    if (!Flag()) return std::nullopt;
    return Number<T>(least, most);
  }
  bool Flag() { return input_.ConsumeBool(); }
  std::optional<bool> MaybeFlag() { return MaybeNumber<bool>(); }
  int32_t Ifindex() { return Number<int32_t>(1, kMaxIfindex); }
  uint64_t Mac() { return Number<uint64_t>(0, kMaxMac); }
  uint64_t Rate() { return Number<uint64_t>(1, kMaxRate); }
  uint32_t Positive() { return Number<uint32_t>(1); }
  TcVerb Verb() { return static_cast<TcVerb>(Number<int>(0, 2)); }

  std::string LinkName() {
    const std::string name = input_.ConsumeRandomLengthString(kMaxLinkNameBytes);
    return ValidLinkName(name) ? name : "fk0";
  }
  std::optional<std::string> MaybeAlias() {
    if (!Flag()) return std::nullopt;
    const std::string alias = input_.ConsumeRandomLengthString(kMaxAliasBytes);
    return ValidAlias(alias) ? alias : "";
  }
  std::string FilterName() {
    const std::string name = input_.ConsumeRandomLengthString(kMaxFilterNameBytes);
    return name.empty() || name.find('\0') != std::string::npos ? "guard" : name;
  }

 private:
  FuzzedDataProvider& input_;
};

LinkCreate MakeLinkCreate(Source* from) {
  LinkCreate link;
  link.name = from->LinkName();
  link.kind = from->Flag() ? "bridge" : "ifb";
  if (from->Flag()) link.mac = from->Mac();
  link.mtu = from->MaybeNumber<uint32_t>(1, kMaxIfindex);
  link.tx_queue_length = from->MaybeNumber<uint32_t>();
  link.alias = from->MaybeAlias();
  if (link.kind == "bridge") {
    link.multicast_snooping = from->MaybeFlag();
    link.vlan_filtering = from->MaybeFlag();
  }
  link.no_address_generation = from->Flag();
  return link;
}

LinkSet MakeLinkSet(Source* from) {
  LinkSet link;
  link.ifindex = from->Ifindex();
  link.master = from->MaybeNumber<int32_t>(0, kMaxIfindex);
  link.up = from->MaybeFlag();
  link.group = from->MaybeNumber<uint32_t>();
  link.alias = from->MaybeAlias();
  if (from->Flag()) link.name = from->LinkName();
  link.tx_queue_length = from->MaybeNumber<uint32_t>();
  link.mtu = from->MaybeNumber<uint32_t>(1, kMaxIfindex);
  if (from->Flag()) link.mac = from->Mac();
  link.no_address_generation = from->Flag();
  link.forwarding = from->MaybeFlag();
  link.send_redirects = from->MaybeFlag();
  return link;
}

template <class T>
T MakeAddress(Source* from) {
  return {from->Ifindex(), from->Number<uint32_t>(), from->Number<uint8_t>(0, kMaxPrefixLength)};
}

RouteAdd MakeRoute(Source* from) {
  return {from->Number<uint32_t>(), from->Number<uint8_t>(0, kMaxPrefixLength),
          from->MaybeNumber<uint32_t>(), from->Ifindex()};
}

QdiscTbf MakeTbf(Source* from) {
  return {from->Verb(), from->Ifindex(),  from->Positive(), from->MaybeNumber<uint32_t>(1),
          from->Rate(), from->Positive(), from->Positive()};
}

ClassHtb MakeClass(Source* from) {
  return {from->Verb(), from->Ifindex(),  from->Positive(), from->Positive(), from->Rate(),
          from->Rate(), from->Positive(), from->Positive(), from->Positive()};
}

FilterBpf MakeFilter(Source* from) {
  return {from->Verb(),       from->Ifindex(),
          from->Positive(),   from->Number<uint16_t>(1),
          from->Positive(),   from->Number<int32_t>(0),
          from->FilterName(), from->MaybeNumber<uint32_t>()};
}

/** The number of the alternative in Request chooses the kind, so that none can be forgotten. */
template <size_t kIndex>
Request Make(Source* from) {
  using Type = std::variant_alternative_t<kIndex, Request>;
  if constexpr (std::is_same_v<Type, LinkCreate>) {
    return MakeLinkCreate(from);
  } else if constexpr (std::is_same_v<Type, LinkSet>) {
    return MakeLinkSet(from);
  } else if constexpr (std::is_same_v<Type, LinkDelete>) {
    return LinkDelete{from->Ifindex()};
  } else if constexpr (std::is_same_v<Type, LinkDeleteGroup>) {
    return LinkDeleteGroup{from->Positive()};
  } else if constexpr (std::is_same_v<Type, PortSet>) {
    return PortSet{from->Ifindex(),
                   from->MaybeFlag(),
                   from->MaybeFlag(),
                   from->MaybeFlag(),
                   from->MaybeFlag(),
                   from->MaybeFlag(),
                   from->MaybeNumber<uint8_t>(0, kMaxPortState)};
  } else if constexpr (std::is_same_v<Type, FdbAdd> || std::is_same_v<Type, FdbDelete>) {
    return Type{from->Ifindex(), from->Mac()};
  } else if constexpr (std::is_same_v<Type, NeighborSet>) {
    return NeighborSet{from->Ifindex(), from->Number<uint32_t>(), from->Mac()};
  } else if constexpr (std::is_same_v<Type, NeighborDelete>) {
    return NeighborDelete{from->Ifindex(), from->Number<uint32_t>()};
  } else if constexpr (std::is_same_v<Type, NeighborTable>) {
    return NeighborTable{from->Ifindex(), from->Number<uint32_t>()};
  } else if constexpr (std::is_same_v<Type, AddressAdd> || std::is_same_v<Type, AddressDelete>) {
    return MakeAddress<Type>(from);
  } else if constexpr (std::is_same_v<Type, RouteAdd>) {
    return MakeRoute(from);
  } else if constexpr (std::is_same_v<Type, QdiscTbf>) {
    return MakeTbf(from);
  } else if constexpr (std::is_same_v<Type, QdiscHtb>) {
    return QdiscHtb{from->Verb(), from->Ifindex(), from->Positive(),
                    from->Number<uint32_t>(0, kMaxMinor)};
  } else if constexpr (std::is_same_v<Type, QdiscClsact>) {
    return QdiscClsact{from->Verb(), from->Ifindex()};
  } else if constexpr (std::is_same_v<Type, QdiscBfifo> || std::is_same_v<Type, QdiscFqCodel>) {
    return Type{from->Verb(), from->Ifindex(), from->Positive(), from->Positive(),
                from->Positive()};
  } else if constexpr (std::is_same_v<Type, QdiscBlackhole>) {
    return QdiscBlackhole{from->Verb(), from->Ifindex(), from->Positive(), from->Positive()};
  } else if constexpr (std::is_same_v<Type, QdiscDelete>) {
    return QdiscDelete{from->Ifindex(), from->Positive(), from->MaybeNumber<uint32_t>(1)};
  } else if constexpr (std::is_same_v<Type, ClassHtb>) {
    return MakeClass(from);
  } else if constexpr (std::is_same_v<Type, ClassDelete>) {
    return ClassDelete{from->Ifindex(), from->Positive()};
  } else if constexpr (std::is_same_v<Type, FilterBpf>) {
    return MakeFilter(from);
  } else {
    static_assert(std::is_same_v<Type, FilterDelete>);
    return FilterDelete{from->Ifindex(), from->Positive(), from->Number<uint16_t>(1),
                        from->MaybeNumber<uint32_t>(1)};
  }
}

template <size_t... kIndexes>
Request MakeAny(size_t kind, Source* from, std::index_sequence<kIndexes...>) {
  using Maker = Request (*)(Source*);
  constexpr Maker kMakers[] = {Make<kIndexes>...};
  return kMakers[kind](from);
}

}  // namespace

Request MakeRequest(FuzzedDataProvider* input) {
  constexpr size_t kKinds = std::variant_size_v<Request>;
  const auto kind = input->ConsumeIntegralInRange<size_t>(0, kKinds - 1);
  Source source(input);
  return MakeAny(kind, &source, std::make_index_sequence<kKinds>());
}

}  // namespace forknet
