// Any bytes as the payload of an RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE and RTM_NEWNEIGH.
#include "dump_ip.h"
#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  const forknet::Bytes payload{data, size};
  forknet::AddressInfo address;
  forknet::RouteInfo route;
  forknet::RuleInfo rule;
  forknet::NeighborInfo neighbor;
  forknet::FdbInfo entry;
  const bool is_address = forknet::ParseAddress(payload, &address);
  const bool is_route = forknet::ParseRoute(payload, &route);
  const bool is_rule = forknet::ParseRule(payload, &rule);
  const bool is_neighbor = forknet::ParseNeighbor(payload, &neighbor);
  constexpr int32_t kBridge = 10;
  const bool is_entry = forknet::ParseFdb(payload, kBridge, &entry);
  Expect(size >= 8 || !is_address, "an address has a whole header");
  Expect(size >= 12 || !(is_route || is_rule || is_neighbor || is_entry), "so have the others");
  // The family is the first byte of each.
  Expect(!is_entry || !(is_address || is_route || is_rule || is_neighbor),
         "an entry is not IPv4's");
  Expect(neighbor.mac >> 48 == 0 && entry.mac >> 48 == 0, "a MAC has 48 bits");
  return 0;
}
