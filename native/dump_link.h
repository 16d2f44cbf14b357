// Links as the kernel lists them (RTM_GETLINK). Parsers work on bare bytes and are safe on any.
#ifndef FORKNET_DUMP_LINK_H_
#define FORKNET_DUMP_LINK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "bytes.h"
#include "netlink/message.h"

namespace forknet {

struct PortInfo {
  /** BR_STATE_*. */
  uint8_t state = 0;
  bool isolated = false;
  bool learning = false;
  bool unicast_flood = false;
  bool multicast_flood = false;
  bool broadcast_flood = false;
};

struct BridgeInfo {
  bool multicast_snooping = false;
  bool vlan_filtering = false;
  /** 0: off; 1: the kernel's; 2: a daemon's. */
  uint32_t stp_state = 0;
  uint32_t forward_delay_ms = 0;
  /** Absent in kernels that do not filter VLANs. */
  std::optional<uint16_t> default_vlan;
};

struct TunInfo {
  bool tap = false;
  bool persistent = false;
  bool vnet_hdr = false;
  bool multi_queue = false;
  std::optional<uint32_t> owner;
  std::optional<uint32_t> group;
  /** Only with multi_queue: those that are attached, and those that their holder has disabled. */
  std::optional<uint32_t> queues;
};

struct LinkInfo {
  int32_t ifindex = 0;
  std::string name;
  std::string kind;
  int32_t master = 0;
  bool up = false;
  bool lower_up = false;
  bool running = false;
  uint64_t mac = 0;
  uint32_t mtu = 0;
  uint32_t group = 0;
  std::string alias;
  uint32_t tx_queue_length = 0;
  /** How often it got a carrier; a new link has one without getting it. */
  uint32_t carrier_ups = 0;
  /** Of IPv4, what the link itself says; false where it has no IPv4. */
  bool forwarding = false;
  bool send_redirects = false;
  std::optional<PortInfo> port;
  std::optional<BridgeInfo> bridge;
  std::optional<TunInfo> tun;
};

struct LinkFilter {
  std::optional<int32_t> master;
  std::optional<std::string> kind;

  /**
   * The kernel does not filter by a kind whose module is not loaded, nor by master 0 (links without
   * a bridge); this does.
   */
  bool Admits(const LinkInfo& link) const;
};

void EncodeLinkDump(const LinkFilter& filter, MessageBuilder* out);
void EncodeLinkGet(int32_t ifindex, MessageBuilder* out);
void EncodeLinkGet(const std::string& name, MessageBuilder* out);

/** Parses the payload of an RTM_NEWLINK. False when it is too short to be one. */
bool ParseLink(Bytes payload, LinkInfo* out);

/** The same for one of the AF_BRIDGE family, which tells a port's name, master and flags. */
bool ParseBridgePort(Bytes payload, LinkInfo* out);

}  // namespace forknet

#endif  // FORKNET_DUMP_LINK_H_
