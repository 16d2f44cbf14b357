// Bytes of the filter messages.
#include "tc_filter.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_mirred.h>

namespace forknet {
namespace {

/** The first and only action: `action mirred egress redirect dev INDEX`. */
void AppendRedirect(uint32_t ifindex, MessageBuilder* out) {
  tc_mirred mirred{};
  mirred.action = TC_ACT_STOLEN;
  mirred.eaction = TCA_EGRESS_REDIR;
  mirred.ifindex = ifindex;
  out->Nest(TCA_BPF_ACT, [&] {
    out->Nest(1, [&] {
      out->Text(TCA_ACT_KIND, "mirred");
      out->Nest(TCA_ACT_OPTIONS, [&] { out->Attr(TCA_MIRRED_PARMS, mirred); });
    });
  });
}

}  // namespace

void Encode(const FilterBpf& request, MessageBuilder* out) {
  tcmsg header = TcHeader(request.ifindex, request.parent, request.handle);
  header.tcm_info = TC_H_MAKE(uint32_t{request.priority} << 16, uint32_t{htons(ETH_P_ALL)});
  out->Start(RTM_NEWTFILTER, VerbFlags(request.verb), header).Text(TCA_KIND, "bpf");
  out->Nest(TCA_OPTIONS, [&] {
    if (request.redirect_ifindex) AppendRedirect(*request.redirect_ifindex, out);
    if (request.classid) out->Attr(TCA_BPF_CLASSID, *request.classid);
    out->Attr(TCA_BPF_FD, request.program_fd);
    out->Text(TCA_BPF_NAME, request.name);
    if (!request.redirect_ifindex) out->Attr(TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  });
}

void Encode(const FilterDelete& request, MessageBuilder* out) {
  tcmsg header = TcHeader(request.ifindex, request.parent, request.handle.value_or(0));
  // Protocol 0 matches a filter of any protocol at this priority.
  header.tcm_info = uint32_t{request.priority} << 16;
  out->Start(RTM_DELTFILTER, kChangeRequest, header).Text(TCA_KIND, "bpf");
}

}  // namespace forknet
