// Flows that connection tracking knows (nfnetlink), as far as they are to be forgotten: those that
// an IPv4 address takes part in. `conntrack -D -s IP` and `conntrack -D -r IP`.
#ifndef FORKNET_FLOW_H_
#define FORKNET_FLOW_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

#include "bytes.h"
#include "netlink/message.h"
#include "netlink/socket.h"

namespace forknet {

/** Whose source address is meant: that of the flow's first packet, or that of the answers to it. */
enum class FlowSide : uint8_t { kOriginal, kReply };

/** What a deletion names a flow by. */
struct Flow {
  /** CTA_TUPLE_ORIG as the kernel listed it. */
  std::vector<uint8_t> original;
  /** CTA_ID: a later flow of the same addresses and ports has another. As it came. */
  uint32_t id = 0;
  /** CTA_ZONE, in network byte order. */
  std::optional<uint16_t> zone;
};

/** Asks for all flows of IPv4. */
void EncodeFlowDump(MessageBuilder* out);
/** Asks for those whose source on that side is `ip`; before Linux 5.8 all come. */
void EncodeFlowDump(uint32_t ip, FlowSide side, MessageBuilder* out);
/** Whether a flow is to be forgotten that this address is an end of. */
using IsForgotten = std::function<bool(uint32_t)>;

/** Parses the payload of IPCTNL_MSG_CT_NEW. False for a flow with no end that is to be forgotten.
 */
bool ParseFlow(Bytes payload, const IsForgotten& is_forgotten, Flow* out);
void EncodeFlowDelete(const Flow& flow, MessageBuilder* out);

/**
 * Deletes every flow of these addresses, on a socket of kNetfilterProtocol, and returns how many
 * there were. Throws KernelError.
 */
size_t ForgetFlows(const std::unordered_set<uint32_t>& ips, Socket* socket);

/** The same for every address of a subnet but those that are kept. */
size_t ForgetFlowsBut(const std::unordered_set<uint32_t>& kept, uint32_t network, uint32_t mask,
                      Socket* socket);

}  // namespace forknet

#endif  // FORKNET_FLOW_H_
