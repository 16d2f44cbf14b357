// Input of the socket target: two bytes that choose the call, then the datagrams the kernel answers
// with, each behind its length (two bytes, the lower one first).
#ifndef FORKNET_FUZZ_SCRIPT_H_
#define FORKNET_FUZZ_SCRIPT_H_

#include <cstdint>

#include "bytes.h"

namespace forknet {

/** The netlink port the socket believes to have. */
constexpr uint32_t kScriptPort = 42;

enum ScriptCall : uint8_t { kScriptTalk, kScriptGet, kScriptDump, kScriptCalls };

/** Takes the next datagram off the front of `script`. False at the end. */
inline bool NextDatagram(Bytes* script, Bytes* out) {
  uint8_t length[2];
  if (!script->Read(&length)) return false;
  const Bytes rest = script->Skip(sizeof length);
  *out = rest.First(size_t{length[0]} | size_t{length[1]} << 8);
  *script = rest.Skip(out->size);
  return true;
}

}  // namespace forknet

#endif  // FORKNET_FUZZ_SCRIPT_H_
