// Any bytes as the payload of an RTM_NEWQDISC, RTM_NEWTCLASS and RTM_NEWTFILTER.
#include "dump_tc.h"
#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using forknet::Expect;
  const forknet::Bytes payload{data, size};
  const forknet::Psched clock(0x3e8, 0x40, 1'000'000);
  forknet::QdiscInfo qdisc;
  forknet::ClassInfo entry;
  forknet::FilterInfo filter;
  const bool is_qdisc = forknet::ParseQdisc(payload, clock, &qdisc);
  Expect(is_qdisc == (size >= 20), "a payload with a whole header is a qdisc");
  Expect(forknet::ParseClass(payload, clock, &entry) == is_qdisc, "and a class");
  if (forknet::ParseFilter(payload, &filter)) {
    Expect(is_qdisc && filter.handle != 0, "a filter has a handle");
    Expect(filter.bpf.has_value() == (filter.kind == "bpf"), "only bpf has a program");
    if (filter.bpf) Expect(filter.bpf->tag.size() <= 16, "a tag has eight bytes");
  }
  if (!is_qdisc) return 0;
  Expect(qdisc.kind == entry.kind && qdisc.handle == entry.handle, "both read one header");
  Expect(qdisc.tbf.has_value() == (qdisc.kind == "tbf"), "only tbf has a rate");
  Expect(qdisc.htb.has_value() == (qdisc.kind == "htb"), "only htb has a default class");
  Expect(entry.kind == "htb" || entry.rate + entry.ceil + entry.burst_bytes == 0,
         "only htb's classes have rates");
  return 0;
}
