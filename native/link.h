// Links: make, change and delete them (RTM_NEWLINK, RTM_DELLINK). TAPs are made in tap.cc.
#ifndef FORKNET_LINK_H_
#define FORKNET_LINK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "netlink/message.h"

namespace forknet {

/** `ip link add NAME type KIND`. Alias and address generation go out in a second, dependent
 * message. */
struct LinkCreate {
  std::string name;
  std::string kind;
  std::optional<uint64_t> mac;
  std::optional<uint32_t> mtu;
  std::optional<uint32_t> tx_queue_length;
  std::optional<std::string> alias;
  std::optional<bool> multicast_snooping;
  std::optional<bool> vlan_filtering;
  bool no_address_generation = false;
};

/** `ip link set dev INDEX ...`; only what is there is sent. */
struct LinkSet {
  int32_t ifindex = 0;
  std::optional<int32_t> master;
  std::optional<bool> up;
  std::optional<uint32_t> group;
  std::optional<std::string> alias;
  std::optional<std::string> name;
  std::optional<uint32_t> tx_queue_length;
  std::optional<uint32_t> mtu;
  std::optional<uint64_t> mac;
  bool no_address_generation = false;
  std::optional<bool> forwarding;
  std::optional<bool> send_redirects;
};

struct LinkDelete {
  int32_t ifindex = 0;
};

/** Never group 0, which holds every link that nobody moved. */
struct LinkDeleteGroup {
  uint32_t group = 0;
};

void Encode(const LinkCreate& request, MessageBuilder* out);
void Encode(const LinkSet& request, MessageBuilder* out);
void Encode(const LinkDelete& request, MessageBuilder* out);
void Encode(const LinkDeleteGroup& request, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_LINK_H_
