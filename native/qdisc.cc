// Bytes of the qdisc messages.
#include "qdisc.h"

namespace forknet {
namespace {

constexpr uint32_t kHtbVersion = 3;
// Divisor for classes without a quantum. Ours always have one; 10 is what tc sends.
constexpr uint32_t kHtbRateToQuantum = 10;

MessageBuilder& Start(TcVerb verb, const tcmsg& header, const char* kind, MessageBuilder* out) {
  return out->Start(RTM_NEWQDISC, VerbFlags(verb), header).Text(TCA_KIND, kind);
}

}  // namespace

void Encode(const QdiscTbf& request, const Psched& psched, MessageBuilder* out) {
  const uint32_t parent = request.parent.value_or(TC_H_ROOT);
  Start(request.verb, TcHeader(request.ifindex, parent, request.handle), "tbf", out);
  tc_tbf_qopt parameters{};
  parameters.rate = RateSpec(request.rate);
  parameters.limit = request.limit_bytes;
  parameters.buffer = psched.Ticks(request.burst_bytes, request.rate);
  out->Nest(TCA_OPTIONS, [&] {
    out->Attr(TCA_TBF_PARMS, parameters);
    // In bytes beside the ticks: ticks alone would round a small bucket below one frame at a high
    // rate.
    out->Attr(TCA_TBF_BURST, request.burst_bytes);
    if (Needs64(request.rate)) out->Attr(TCA_TBF_RATE64, request.rate);
  });
}

void Encode(const QdiscHtb& request, MessageBuilder* out) {
  Start(request.verb, TcHeader(request.ifindex, TC_H_ROOT, request.handle), "htb", out);
  tc_htb_glob parameters{};
  parameters.version = kHtbVersion;
  parameters.rate2quantum = kHtbRateToQuantum;
  parameters.defcls = request.default_minor;
  out->Nest(TCA_OPTIONS, [&] { out->Attr(TCA_HTB_INIT, parameters); });
}

void Encode(const QdiscClsact& request, MessageBuilder* out) {
  const uint32_t handle = TC_H_MAKE(TC_H_CLSACT, 0);
  Start(request.verb, TcHeader(request.ifindex, TC_H_CLSACT, handle), "clsact", out);
}

void Encode(const QdiscBfifo& request, MessageBuilder* out) {
  Start(request.verb, TcHeader(request.ifindex, request.parent, request.handle), "bfifo", out);
  tc_fifo_qopt parameters{};
  parameters.limit = request.limit_bytes;
  out->Attr(TCA_OPTIONS, parameters);
}

void Encode(const QdiscFqCodel& request, MessageBuilder* out) {
  Start(request.verb, TcHeader(request.ifindex, request.parent, request.handle), "fq_codel", out);
  out->Nest(TCA_OPTIONS, [&] { out->Attr(TCA_FQ_CODEL_MEMORY_LIMIT, request.memory_limit_bytes); });
}

void Encode(const QdiscBlackhole& request, MessageBuilder* out) {
  Start(request.verb, TcHeader(request.ifindex, request.parent, request.handle), "blackhole", out);
}

void Encode(const QdiscDelete& request, MessageBuilder* out) {
  out->Start(RTM_DELQDISC, kChangeRequest,
             TcHeader(request.ifindex, request.parent, request.handle.value_or(0)));
}

}  // namespace forknet
