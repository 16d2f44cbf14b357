// What the kernel tells everybody who listens: one change of a link, a port, a queue, a class, a
// filter, a neighbour or a forwarding entry. The parser works on bare bytes and is safe on any.
#ifndef FORKNET_CHANGE_H_
#define FORKNET_CHANGE_H_

#include <cstdint>
#include <optional>

#include "dump_link.h"
#include "netlink/attributes.h"

namespace forknet {

enum class ChangedObject { kLink, kPort, kQdisc, kClass, kFilter, kNeighbor, kFdb };

struct Change {
  ChangedObject object = ChangedObject::kLink;
  bool removed = false;
  int32_t ifindex = 0;
  /** Of a queue, a class or a filter. */
  uint32_t handle = 0;
  uint32_t parent = 0;
  /** Of a neighbour. */
  uint32_t ip = 0;
  /** Of a neighbour or a forwarding entry. */
  uint64_t mac = 0;
  /** NUD_*, of the same. */
  uint16_t state = 0;
  /** What a link that is there is like now; a port that is there has only the flags. */
  std::optional<LinkInfo> link;

  /** Whether this one says all that an earlier one about a link or a port said. */
  bool Replaces(const Change& earlier) const;
};

/** False when the message tells of something else, or is too short. IPv4 neighbours only. */
bool ParseChange(const Reply& message, Change* out);

}  // namespace forknet

#endif  // FORKNET_CHANGE_H_
