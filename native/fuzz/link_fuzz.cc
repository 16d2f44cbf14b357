// Any bytes as the payload of an RTM_NEWLINK.
#include "dump_link.h"
#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  forknet::LinkInfo link;
  if (!forknet::ParseLink({data, size}, &link)) {
    Expect(size < 16, "only a payload without a whole header is refused");
    return 0;
  }
  Expect(link.name.find('\0') == std::string::npos, "a name has no NUL");
  Expect(link.alias.find('\0') == std::string::npos, "an alias has no NUL");
  Expect(link.mac >> 48 == 0, "a MAC has 48 bits");
  forknet::LinkFilter same;
  same.master = link.master;
  same.kind = link.kind;
  Expect(same.Admits(link), "a filter made of a link admits it");
  same.master = link.master ^ 1;
  Expect(!same.Admits(link), "a filter for another bridge does not");
  return 0;
}
