// Bounds-checked walks over netlink messages and attributes, and the acks among them.
#include "netlink/attributes.h"

#include <arpa/inet.h>

#include <cstring>

namespace forknet {
namespace {

size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

/** Positive errno of a kernel's negative one. Anything else counts as EIO. */
int Positive(int32_t error) {
  if (error == 0) return 0;
  return error < 0 && error >= -4095 ? -error : EIO;
}

std::string AckText(Bytes attributes) {
  std::string text;
  ForEachAttribute(attributes, [&](const Attribute& a) {
    if (a.type == NLMSGERR_ATTR_MSG) text = a.Text();
  });
  return text;
}

}  // namespace

uint32_t Attribute::Ipv4() const { return ntohl(U32()); }

uint64_t Attribute::Mac() const {
  if (value.size != 6) return 0;
  uint64_t mac = 0;
  for (size_t i = 0; i < 6; i++) mac = mac << 8 | value.data[i];
  return mac;
}

std::string Attribute::Text() const {
  if (value.size == 0) return "";
  const auto* text = reinterpret_cast<const char*>(value.data);
  return {text, strnlen(text, value.size)};
}

bool NextAttribute(Bytes* rest, Attribute* out) {
  nlattr header;
  if (!rest->Read(&header)) return false;
  if (header.nla_len < NLA_HDRLEN || header.nla_len > rest->size) return false;
  out->type = header.nla_type & NLA_TYPE_MASK;
  out->value = rest->First(header.nla_len).Skip(NLA_HDRLEN);
  *rest = rest->Skip(Aligned(header.nla_len));
  return true;
}

bool NextReply(Bytes* rest, Reply* out) {
  nlmsghdr header;
  if (!rest->Read(&header)) return false;
  if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest->size) return false;
  out->header = header;
  out->payload = rest->First(header.nlmsg_len).Skip(NLMSG_HDRLEN);
  *rest = rest->Skip(Aligned(header.nlmsg_len));
  return true;
}

bool ParseAck(const Reply& reply, Ack* out) {
  nlmsgerr ack;
  if (!reply.payload.Read(&ack)) return false;
  out->error = Positive(ack.error);
  out->text.clear();
  if (!(reply.header.nlmsg_flags & NLM_F_ACK_TLVS)) return true;
  // Without NLM_F_CAPPED the whole refused message stands between the header and the attributes.
  size_t skip = sizeof ack;
  if (!(reply.header.nlmsg_flags & NLM_F_CAPPED)) {
    if (ack.msg.nlmsg_len < NLMSG_HDRLEN) return true;
    skip += Aligned(ack.msg.nlmsg_len - NLMSG_HDRLEN);
  }
  out->text = AckText(reply.payload.Skip(skip));
  return true;
}

Ack ParseDone(const Reply& reply) {
  int32_t error = 0;
  if (!reply.payload.Read(&error)) return {};
  Ack ack;
  ack.error = error < 0 ? Positive(error) : 0;
  if (reply.header.nlmsg_flags & NLM_F_ACK_TLVS) {
    ack.text = AckText(reply.payload.Skip(sizeof error));
  }
  return ack;
}

}  // namespace forknet
