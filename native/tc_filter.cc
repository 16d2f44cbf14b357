// Bytes of the filter messages.
#include "tc_filter.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

namespace forknet {

void Encode(const FilterBpf& request, MessageBuilder* out) {
  tcmsg header = TcHeader(request.ifindex, request.parent, request.handle);
  header.tcm_info = TC_H_MAKE(uint32_t{request.priority} << 16, uint32_t{htons(ETH_P_ALL)});
  out->Start(RTM_NEWTFILTER, VerbFlags(request.verb), header).Text(TCA_KIND, "bpf");
  out->Nest(TCA_OPTIONS, [&] {
    if (request.classid) out->Attr(TCA_BPF_CLASSID, *request.classid);
    out->Attr(TCA_BPF_FD, request.program_fd);
    out->Text(TCA_BPF_NAME, request.name);
    out->Attr(TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  });
}

void Encode(const FilterDelete& request, MessageBuilder* out) {
  tcmsg header = TcHeader(request.ifindex, request.parent, request.handle.value_or(0));
  // Protocol 0 matches a filter of any protocol at this priority.
  header.tcm_info = uint32_t{request.priority} << 16;
  out->Start(RTM_DELTFILTER, kChangeRequest, header).Text(TCA_KIND, "bpf");
}

}  // namespace forknet
