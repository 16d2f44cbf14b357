// Listening on NFNLGRP_NFTABLES for generations alone.
#include "netlink/ruleset_monitor.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstddef>

#include "netlink/attributes.h"

namespace forknet {
namespace {

constexpr uint32_t Bit(int group) { return 1U << (group - 1); }

// Somebody who changes rules all the time must not keep the caller. The buffer holds some hundred.
constexpr size_t kMaxDatagrams = 1024;

// Rules are told in datagrams of their own, and so many that the buffer would not hold them
// (nf_tables_commit()). BPF loads words in network byte order.
SocketFilter OnlyGenerations() {
  return {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(kNewGeneration), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
}

}  // namespace

RulesetMonitor::RulesetMonitor() : listener_(kNetfilterProtocol) {
  listener_.SetFilter(OnlyGenerations());
  listener_.Join(Bit(NFNLGRP_NFTABLES));
}

HeardGenerations RulesetMonitor::Read() {
  HeardGenerations heard;
  for (size_t i = 0; i < kMaxDatagrams; i++) {
    Bytes rest;
    const Listener::Got got = listener_.Next(&rest);
    if (got == Listener::Got::kNothing) return heard;
    if (got == Listener::Got::kOverrun) heard.overrun = true;
    for (Reply message; NextReply(&rest, &message);) {
      Generation generation;
      if (message.header.nlmsg_type != kNewGeneration) continue;
      if (ParseGeneration(message.payload, &generation)) {
        heard.generations.push_back(std::move(generation));
      }
    }
  }
  return heard;
}

}  // namespace forknet
