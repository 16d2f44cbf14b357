// Addresses, routes, rules, neighbours and forwarding entries as the kernel lists them. Addresses
// are in host byte order. Parsers work on bare bytes and are safe on any.
#ifndef FORKNET_DUMP_IP_H_
#define FORKNET_DUMP_IP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "bytes.h"
#include "netlink/message.h"

namespace forknet {

struct AddressInfo {
  int32_t ifindex = 0;
  uint32_t ip = 0;
  uint8_t prefix_length = 0;
};

struct RouteInfo {
  uint32_t destination = 0;
  uint8_t prefix_length = 0;
  int32_t ifindex = 0;
  uint32_t gateway = 0;
  uint32_t metric = 0;
  uint32_t table = 0;
  uint8_t type = 0;
  /** Links of a route that has several next hops. */
  std::vector<int32_t> hops;
};

/** A policy routing rule, as far as it says which table is asked. */
struct RuleInfo {
  uint32_t table = 0;
  uint8_t action = 0;
};

struct NeighborInfo {
  int32_t ifindex = 0;
  uint32_t ip = 0;
  uint64_t mac = 0;
  uint16_t state = 0;
};

struct FdbInfo {
  int32_t ifindex = 0;
  uint64_t mac = 0;
  uint16_t state = 0;
};

void EncodeAddressDump(std::optional<int32_t> ifindex, MessageBuilder* out);
void EncodeRouteDump(MessageBuilder* out);
void EncodeRuleDump(MessageBuilder* out);
void EncodeNeighborDump(std::optional<int32_t> ifindex, MessageBuilder* out);
void EncodeFdbDump(int32_t bridge, MessageBuilder* out);

/** Parse the payload of RTM_NEWADDR, _NEWROUTE, _NEWRULE, _NEWNEIGH. False when it is not IPv4's.
 */
bool ParseAddress(Bytes payload, AddressInfo* out);
bool ParseRoute(Bytes payload, RouteInfo* out);
bool ParseRule(Bytes payload, RuleInfo* out);
bool ParseNeighbor(Bytes payload, NeighborInfo* out);
/** False for entries of other bridges, and for a device's own address list (NTF_SELF). */
bool ParseFdb(Bytes payload, int32_t bridge, FdbInfo* out);

}  // namespace forknet

#endif  // FORKNET_DUMP_IP_H_
