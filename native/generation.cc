// Bytes of NFT_MSG_NEWGEN.
#include "generation.h"

#include <arpa/inet.h>

#include "netlink/attributes.h"

namespace forknet {

bool ParseGeneration(Bytes payload, Generation* out) {
  nfgenmsg header;
  if (!payload.Read(&header)) return false;
  bool has_id = false;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof header)), [&](const Attribute& a) {
    if (a.type == NFTA_GEN_ID && a.value.size >= sizeof out->id) {
      out->id = ntohl(a.U32());
      has_id = true;
    }
    if (a.type == NFTA_GEN_PROC_PID) out->pid = ntohl(a.U32());
    if (a.type == NFTA_GEN_PROC_NAME) out->process = a.Text();
  });
  return has_id;
}

}  // namespace forknet
