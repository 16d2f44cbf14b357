// Requests for qdiscs, classes and filters, and the parsers of what comes back.
#include "dump_tc.h"

#include <arpa/inet.h>
#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

#include "netlink/attributes.h"
#include "tc_verb.h"

namespace forknet {
namespace {

// struct gnet_stats_basic ends in four bytes of padding that some kernels do not send.
struct Basic {
  uint32_t bytes_low;
  uint32_t bytes_high;
  uint32_t packets;
};

void ParseStats(Bytes stats, TcStats* out) {
  std::optional<uint64_t> packets64;
  ForEachAttribute(stats, [&](const Attribute& a) {
    if (a.type == TCA_STATS_BASIC) {
      out->bytes = a.U64();
      out->packets = a.As<Basic>().packets;
    } else if (a.type == TCA_STATS_QUEUE) {
      const auto queue = a.As<gnet_stats_queue>();
      out->drops = queue.drops;
      out->overlimits = queue.overlimits;
      out->backlog_bytes = queue.backlog;
      out->queue_length = queue.qlen;
    } else if (a.type == TCA_STATS_PKT64) {
      // Sent only once the 32-bit counter has wrapped.
      packets64 = a.U64();
    }
  });
  if (packets64) out->packets = *packets64;
}

TbfInfo ParseTbf(Bytes options, const Psched& psched) {
  TbfInfo tbf;
  uint32_t ticks = 0;
  std::optional<uint64_t> rate64;
  ForEachAttribute(options, [&](const Attribute& a) {
    if (a.type == TCA_TBF_PARMS) {
      const auto parameters = a.As<tc_tbf_qopt>();
      tbf.rate = parameters.rate.rate;
      tbf.limit_bytes = parameters.limit;
      ticks = parameters.buffer;
    } else if (a.type == TCA_TBF_RATE64) {
      rate64 = a.U64();
    }
  });
  if (rate64) tbf.rate = *rate64;
  tbf.burst_bytes = psched.BytesIn(ticks, tbf.rate);
  return tbf;
}

HtbInfo ParseHtb(Bytes options) {
  HtbInfo htb;
  ForEachAttribute(options, [&](const Attribute& a) {
    if (a.type != TCA_HTB_INIT) return;
    const auto parameters = a.As<tc_htb_glob>();
    htb.default_minor = parameters.defcls;
    htb.direct_packets = parameters.direct_pkts;
  });
  return htb;
}

void ParseHtbClass(Bytes options, const Psched& psched, ClassInfo* out) {
  tc_htb_opt parameters{};
  std::optional<uint64_t> rate64;
  std::optional<uint64_t> ceil64;
  ForEachAttribute(options, [&](const Attribute& a) {
    if (a.type == TCA_HTB_PARMS) parameters = a.As<tc_htb_opt>();
    if (a.type == TCA_HTB_RATE64) rate64 = a.U64();
    if (a.type == TCA_HTB_CEIL64) ceil64 = a.U64();
  });
  out->rate = rate64.value_or(parameters.rate.rate);
  out->ceil = ceil64.value_or(parameters.ceil.rate);
  out->burst_bytes = psched.BytesIn(parameters.buffer, out->rate);
  out->cburst_bytes = psched.BytesIn(parameters.cbuffer, out->ceil);
  out->quantum_bytes = parameters.quantum;
}

/** The link that a mirred among these actions redirects to. */
std::optional<uint32_t> ParseRedirect(Bytes actions) {
  std::optional<uint32_t> ifindex;
  ForEachAttribute(actions, [&](const Attribute& action) {
    ForEachAttribute(action.value, [&](const Attribute& part) {
      if (part.type != TCA_ACT_OPTIONS) return;
      ForEachAttribute(part.value, [&](const Attribute& a) {
        tc_mirred mirred{};
        if (a.type != TCA_MIRRED_PARMS || !a.value.Read(&mirred)) return;
        if (mirred.eaction == TCA_EGRESS_REDIR) ifindex = mirred.ifindex;
      });
    });
  });
  return ifindex;
}

BpfFilterInfo ParseBpf(Bytes options) {
  BpfFilterInfo bpf;
  ForEachAttribute(options, [&](const Attribute& a) {
    if (a.type == TCA_BPF_NAME) bpf.name = a.Text();
    if (a.type == TCA_BPF_ID) bpf.program_id = a.U32();
    if (a.type == TCA_BPF_FLAGS) bpf.direct_action = (a.U32() & TCA_BPF_FLAG_ACT_DIRECT) != 0;
    if (a.type == TCA_BPF_CLASSID) bpf.classid = a.U32();
    if (a.type == TCA_BPF_ACT) bpf.redirect_ifindex = ParseRedirect(a.value);
    if (a.type == TCA_BPF_TAG) {
      constexpr const char* kDigits = "0123456789abcdef";
      bpf.tag.clear();
      for (size_t i = 0; i < a.value.size && i < 8; i++) {
        bpf.tag += kDigits[a.value.data[i] >> 4];
        bpf.tag += kDigits[a.value.data[i] & 15];
      }
    }
  });
  return bpf;
}

/** The header and the three attributes that qdiscs, classes and filters share. */
struct TcParts {
  tcmsg header{};
  std::string kind;
  Bytes options;
  TcStats stats;
};

bool ParseParts(Bytes payload, TcParts* out) {
  if (!payload.Read(&out->header)) return false;
  ForEachAttribute(payload.Skip(NLMSG_ALIGN(sizeof(tcmsg))), [&](const Attribute& a) {
    if (a.type == TCA_KIND) out->kind = a.Text();
    if (a.type == TCA_OPTIONS) out->options = a.value;
    if (a.type == TCA_STATS2) ParseStats(a.value, &out->stats);
  });
  return true;
}

}  // namespace

void EncodeQdiscDump(MessageBuilder* out) { out->Start(RTM_GETQDISC, kDumpRequest, tcmsg{}); }

void EncodeClassDump(int32_t ifindex, MessageBuilder* out) {
  out->Start(RTM_GETTCLASS, kDumpRequest, TcHeader(ifindex, 0, 0));
}

void EncodeFilterDump(int32_t ifindex, uint32_t parent, MessageBuilder* out) {
  out->Start(RTM_GETTFILTER, kDumpRequest, TcHeader(ifindex, parent, 0));
}

bool ParseQdisc(Bytes payload, const Psched& psched, QdiscInfo* out) {
  TcParts parts;
  if (!ParseParts(payload, &parts)) return false;
  out->ifindex = parts.header.tcm_ifindex;
  out->kind = parts.kind;
  out->handle = parts.header.tcm_handle;
  out->parent = parts.header.tcm_parent;
  out->stats = parts.stats;
  if (out->kind == "tbf") out->tbf = ParseTbf(parts.options, psched);
  if (out->kind == "htb") out->htb = ParseHtb(parts.options);
  if (out->kind == "bfifo") {
    tc_fifo_qopt parameters{};
    parts.options.Read(&parameters);
    out->bfifo = BfifoInfo{parameters.limit};
  }
  return true;
}

bool ParseClass(Bytes payload, const Psched& psched, ClassInfo* out) {
  TcParts parts;
  if (!ParseParts(payload, &parts)) return false;
  out->ifindex = parts.header.tcm_ifindex;
  out->kind = parts.kind;
  out->handle = parts.header.tcm_handle;
  out->parent = parts.header.tcm_parent;
  out->leaf = parts.header.tcm_info;
  out->stats = parts.stats;
  if (out->kind == "htb") ParseHtbClass(parts.options, psched, out);
  return true;
}

bool ParseFilter(Bytes payload, FilterInfo* out) {
  TcParts parts;
  if (!ParseParts(payload, &parts) || parts.header.tcm_handle == 0) return false;
  out->ifindex = parts.header.tcm_ifindex;
  out->kind = parts.kind;
  out->parent = parts.header.tcm_parent;
  out->priority = static_cast<uint16_t>(parts.header.tcm_info >> 16);
  out->protocol = ntohs(static_cast<uint16_t>(parts.header.tcm_info & 0xffff));
  out->handle = parts.header.tcm_handle;
  if (out->kind == "bpf") out->bpf = ParseBpf(parts.options);
  return true;
}

}  // namespace forknet
