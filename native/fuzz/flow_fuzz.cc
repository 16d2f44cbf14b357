// Any bytes as the payload of IPCTNL_MSG_CT_NEW: what is deleted is what was listed.
#include "flow.h"

#include <linux/netfilter/nfnetlink_conntrack.h>

#include <algorithm>

#include "fuzz/expect.h"
#include "netlink/attributes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  constexpr uint32_t kLocalhost = 0x7f000001;
  forknet::Flow flow;
  const auto is_forgotten = [](uint32_t ip) { return ip == kLocalhost; };
  if (!forknet::ParseFlow({data, size}, is_forgotten, &flow)) return 0;
  forknet::MessageBuilder deletion;
  forknet::EncodeFlowDelete(flow, &deletion);
  forknet::Bytes rest = deletion.All();
  forknet::Reply message;
  Expect(forknet::NextReply(&rest, &message), "a deletion is a message");
  bool is_same = false;
  forknet::ForEachAttribute(message.payload.Skip(4), [&](const forknet::Attribute& a) {
    if (a.type != CTA_TUPLE_ORIG) return;
    is_same = std::equal(flow.original.begin(), flow.original.end(), a.value.data,
                         a.value.data + a.value.size);
  });
  Expect(is_same, "it names the tuple that was listed");
  return 0;
}
