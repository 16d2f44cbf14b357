// Reads what the kernel sends: messages in a datagram, attributes in a message, values in an
// attribute. Safe on any bytes: what is truncated or lies about its length ends the walk, nothing
// is read beyond.
#ifndef FORKNET_NETLINK_ATTRIBUTES_H_
#define FORKNET_NETLINK_ATTRIBUTES_H_

#include <linux/netlink.h>

#include <cstdint>
#include <string>

#include "bytes.h"

namespace forknet {

struct Attribute {
  uint16_t type = 0;  // Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
  Bytes value;

  /** The value's first bytes as a T, or 0 when it is shorter than a T. */
  template <class T>
  T As() const {
    T result{};
    value.Read(&result);
    return result;
  }
  uint8_t U8() const { return As<uint8_t>(); }
  uint32_t U32() const { return As<uint32_t>(); }
  uint64_t U64() const { return As<uint64_t>(); }
  /** An IPv4 address in host byte order. */
  uint32_t Ipv4() const;
  /** A six-byte link address as a number; 0 when the value is not six bytes long. */
  uint64_t Mac() const;
  /** Up to the first NUL or the end. */
  std::string Text() const;
};

/** Takes the next attribute off the front of `rest`. False at the end or when the rest is
 * malformed. */
bool NextAttribute(Bytes* rest, Attribute* out);

template <class Visit>
void ForEachAttribute(Bytes attributes, Visit visit) {
  Attribute attribute;
  while (NextAttribute(&attributes, &attribute)) visit(attribute);
}

struct Reply {
  nlmsghdr header{};
  Bytes payload;
};

/** Takes the next message off the front of `rest`. False at the end or when the rest is malformed.
 */
bool NextReply(Bytes* rest, Reply* out);

/** What an NLMSG_ERROR says: `error` is positive, 0 for an ack. */
struct Ack {
  int error = 0;
  std::string text;
};

/** False when the message is too short to be an NLMSG_ERROR. */
bool ParseAck(const Reply& reply, Ack* out);

/** The same for NLMSG_DONE, whose error is that of the dump. An empty payload means success. */
Ack ParseDone(const Reply& reply);

}  // namespace forknet

#endif  // FORKNET_NETLINK_ATTRIBUTES_H_
