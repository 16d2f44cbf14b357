// Any bytes as a datagram: the walk over its messages, and each of them as an ack and as the end of
// a dump.
#include "fuzz/expect.h"
#include "netlink/attributes.h"

namespace {

void CheckAck(const forknet::Ack& ack) {
  using forknet::Expect;
  Expect(ack.error >= 0 && ack.error <= 4095, "an error is one of errno's");
  Expect(ack.text.find('\0') == std::string::npos, "a text has no NUL");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  forknet::Bytes rest{data, size};
  size_t before = rest.size;
  for (forknet::Reply reply; forknet::NextReply(&rest, &reply); before = rest.size) {
    Expect(rest.size < before, "each message shortens the rest");
    Expect(reply.payload.size + NLMSG_HDRLEN == reply.header.nlmsg_len, "a payload is whole");
    forknet::Ack ack;
    const bool is_ack = forknet::ParseAck(reply, &ack);
    Expect(is_ack == (reply.payload.size >= sizeof(nlmsgerr)), "only a short ack is refused");
    if (is_ack) CheckAck(ack);
    CheckAck(forknet::ParseDone(reply));
  }
  return 0;
}
