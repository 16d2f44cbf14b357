// Any bytes as the payload of an NFT_MSG_NEWGEN.
#include "generation.h"

#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  forknet::Generation generation;
  if (!forknet::ParseGeneration({data, size}, &generation)) return 0;
  Expect(size >= 12, "a generation has a header and an id");
  Expect(generation.process.find('\0') == std::string::npos, "a process's name has no NUL");
  return 0;
}
