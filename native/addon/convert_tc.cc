// Messages about qdiscs, classes and filters, from objects to structures.
#include "addon/convert.h"

namespace forknet {
namespace {

constexpr uint64_t kMaxMinor = 0xffff;
constexpr uint64_t kMaxPriority = 0xffff;

TcVerb Verb(const Fields& fields) {
  const std::string verb = fields.String("verb");
  if (verb == "add") return TcVerb::kAdd;
  if (verb == "change") return TcVerb::kChange;
  if (verb == "replace") return TcVerb::kReplace;
  fields.Refuse("verb", "'add', 'change' or 'replace'");
}

uint32_t Handle(const Fields& fields, const char* key) { return fields.Integer<uint32_t>(key, 1); }

uint32_t SizeInBytes(const Fields& fields, const char* key) {
  return fields.Integer<uint32_t>(key, 1);
}

QdiscTbf ToTbf(const Fields& fields) {
  QdiscTbf tbf;
  tbf.verb = Verb(fields);
  tbf.ifindex = fields.Ifindex();
  tbf.handle = Handle(fields, "handle");
  tbf.parent = fields.MaybeInteger<uint32_t>("parent", 1);
  tbf.rate = fields.Rate("rate");
  tbf.burst_bytes = SizeInBytes(fields, "burstBytes");
  tbf.limit_bytes = SizeInBytes(fields, "limitBytes");
  return tbf;
}

QdiscHtb ToHtb(const Fields& fields) {
  return {Verb(fields), fields.Ifindex(), Handle(fields, "handle"),
          fields.Integer<uint32_t>("defaultMinor", 0, kMaxMinor)};
}

/** The leaves that have, besides their place, one size or nothing. */
template <class Leaf>
Leaf ToLeaf(const Fields& fields) {
  Leaf leaf;
  leaf.verb = Verb(fields);
  leaf.ifindex = fields.Ifindex();
  leaf.parent = Handle(fields, "parent");
  leaf.handle = Handle(fields, "handle");
  return leaf;
}

QdiscBfifo ToBfifo(const Fields& fields) {
  auto leaf = ToLeaf<QdiscBfifo>(fields);
  leaf.limit_bytes = SizeInBytes(fields, "limitBytes");
  return leaf;
}

QdiscFqCodel ToFqCodel(const Fields& fields) {
  auto leaf = ToLeaf<QdiscFqCodel>(fields);
  leaf.memory_limit_bytes = SizeInBytes(fields, "memoryLimitBytes");
  return leaf;
}

ClassHtb ToClassHtb(const Fields& fields) {
  ClassHtb htb;
  htb.verb = Verb(fields);
  htb.ifindex = fields.Ifindex();
  htb.parent = Handle(fields, "parent");
  htb.handle = Handle(fields, "handle");
  htb.rate = fields.Rate("rate");
  htb.ceil = fields.Rate("ceil");
  htb.burst_bytes = SizeInBytes(fields, "burstBytes");
  htb.cburst_bytes = SizeInBytes(fields, "cburstBytes");
  htb.quantum_bytes = SizeInBytes(fields, "quantumBytes");
  return htb;
}

uint16_t Priority(const Fields& fields) {
  return fields.Integer<uint16_t>("priority", 1, kMaxPriority);
}

FilterBpf ToFilterBpf(const Fields& fields) {
  FilterBpf filter;
  filter.verb = Verb(fields);
  filter.ifindex = fields.Ifindex();
  filter.parent = Handle(fields, "parent");
  filter.priority = Priority(fields);
  filter.handle = Handle(fields, "handle");
  filter.program_fd = fields.Integer<int32_t>("programFd");
  filter.name = fields.String("name");
  if (filter.name.empty() || filter.name.size() > kMaxFilterNameBytes ||
      filter.name.find('\0') != std::string::npos) {
    fields.Refuse("name", "1 to 255 bytes without NUL");
  }
  filter.classid = fields.MaybeInteger<uint32_t>("classid");
  filter.redirect_ifindex = fields.MaybeInteger<uint32_t>("redirectTo", 1);
  return filter;
}

}  // namespace

std::optional<Request> ToTcRequest(const std::string& op, const Fields& fields) {
  if (op == "qdisc.tbf") return ToTbf(fields);
  if (op == "qdisc.htb") return ToHtb(fields);
  if (op == "qdisc.clsact") return QdiscClsact{Verb(fields), fields.Ifindex()};
  if (op == "qdisc.bfifo") return ToBfifo(fields);
  if (op == "qdisc.fq_codel") return ToFqCodel(fields);
  if (op == "qdisc.blackhole") return ToLeaf<QdiscBlackhole>(fields);
  if (op == "qdisc.delete") {
    return QdiscDelete{fields.Ifindex(), Handle(fields, "parent"),
                       fields.MaybeInteger<uint32_t>("handle", 1)};
  }
  if (op == "class.htb") return ToClassHtb(fields);
  if (op == "class.delete") return ClassDelete{fields.Ifindex(), Handle(fields, "handle")};
  if (op == "filter.bpf") return ToFilterBpf(fields);
  if (op == "filter.delete") {
    return FilterDelete{fields.Ifindex(), Handle(fields, "parent"), Priority(fields),
                        fields.MaybeInteger<uint32_t>("handle", 1)};
  }
  return std::nullopt;
}

}  // namespace forknet
