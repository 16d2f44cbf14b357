// Bytes of the class messages.
#include "tc_class.h"

namespace forknet {

void Encode(const ClassHtb& request, const Psched& psched, MessageBuilder* out) {
  out->Start(RTM_NEWTCLASS, VerbFlags(request.verb),
             TcHeader(request.ifindex, request.parent, request.handle));
  out->Text(TCA_KIND, "htb");
  tc_htb_opt parameters{};
  parameters.rate = RateSpec(request.rate);
  parameters.ceil = RateSpec(request.ceil);
  parameters.buffer = psched.Ticks(request.burst_bytes, request.rate);
  parameters.cbuffer = psched.Ticks(request.cburst_bytes, request.ceil);
  parameters.quantum = request.quantum_bytes;
  out->Nest(TCA_OPTIONS, [&] {
    if (Needs64(request.rate)) out->Attr(TCA_HTB_RATE64, request.rate);
    if (Needs64(request.ceil)) out->Attr(TCA_HTB_CEIL64, request.ceil);
    out->Attr(TCA_HTB_PARMS, parameters);
  });
}

void Encode(const ClassDelete& request, MessageBuilder* out) {
  out->Start(RTM_DELTCLASS, kChangeRequest, TcHeader(request.ifindex, 0, request.handle));
}

}  // namespace forknet
