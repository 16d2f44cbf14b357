// Every message the addon can send, as one type, and its bytes.
#ifndef FORKNET_REQUEST_H_
#define FORKNET_REQUEST_H_

#include <variant>

#include "address.h"
#include "link.h"
#include "neighbor.h"
#include "netlink/message.h"
#include "port.h"
#include "psched.h"
#include "qdisc.h"
#include "route.h"
#include "tc_class.h"
#include "tc_filter.h"

namespace forknet {

using Request =
    std::variant<LinkCreate, LinkSet, LinkDelete, LinkDeleteGroup, PortSet, FdbAdd, FdbDelete,
                 NeighborSet, NeighborDelete, NeighborTable, AddressAdd, AddressDelete, RouteAdd,
                 QdiscTbf, QdiscHtb, QdiscClsact, QdiscBfifo, QdiscFqCodel, QdiscBlackhole,
                 QdiscDelete, ClassHtb, ClassDelete, FilterBpf, FilterDelete>;

/** Appends the request: one message, or one and a dependent second (see LinkCreate). */
void EncodeRequest(const Request& request, const Psched& psched, MessageBuilder* out);

}  // namespace forknet

#endif  // FORKNET_REQUEST_H_
