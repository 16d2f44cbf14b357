// Any fields that the addon lets through, as the bytes that go to the kernel: whole messages whose
// attributes fill them, and the same values when they are read again.
#include "request.h"

#include <fuzzer/FuzzedDataProvider.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>

#include "dump_link.h"
#include "dump_tc.h"
#include "fuzz/expect.h"
#include "fuzz/requests.h"
#include "netlink/attributes.h"

namespace forknet {
namespace {

/** Bytes of the fixed part of a message. */
size_t BodySize(uint16_t type) {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_SETLINK:
    case RTM_DELLINK:
      return sizeof(ifinfomsg);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return sizeof(ifaddrmsg);
    case RTM_NEWROUTE:
      return sizeof(rtmsg);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return sizeof(ndmsg);
    case RTM_SETNEIGHTBL:
      return sizeof(ndtmsg);
    default:
      return sizeof(tcmsg);
  }
}

void ExpectWhole(Bytes attributes) {
  for (Attribute attribute; NextAttribute(&attributes, &attribute);) {
  }
  Expect(attributes.size == 0, "attributes fill their message");
}

void ExpectSame(const LinkCreate& sent, const Psched&, Bytes payload) {
  LinkInfo read;
  Expect(ParseLink(payload, &read), "a link is read as one");
  Expect(read.name == sent.name && read.kind == sent.kind, "it has its name and kind");
  Expect(read.mac == sent.mac.value_or(0) && read.mtu == sent.mtu.value_or(0), "it has its size");
  Expect(read.alias.empty(), "its alias comes later");
}

void ExpectSame(const LinkSet& sent, const Psched&, Bytes payload) {
  LinkInfo read;
  Expect(ParseLink(payload, &read) && read.ifindex == sent.ifindex, "a change is read as a link");
  Expect(read.name == sent.name.value_or("") && read.alias == sent.alias.value_or(""),
         "it has its texts");
  Expect(read.master == sent.master.value_or(0) && read.group == sent.group.value_or(0),
         "it has its place");
}

void ExpectSame(const QdiscTbf& sent, const Psched& clock, Bytes payload) {
  QdiscInfo read;
  Expect(ParseQdisc(payload, clock, &read) && read.tbf, "a TBF is read as one");
  Expect(read.ifindex == sent.ifindex && read.handle == sent.handle, "it has its place");
  Expect(read.tbf->rate == sent.rate, "it has its rate");
  Expect(read.tbf->limit_bytes == sent.limit_bytes, "it has its limit");
  Expect(clock.Ticks(sent.burst_bytes, sent.rate) == UINT32_MAX ||
             read.tbf->burst_bytes >= sent.burst_bytes,
         "its bucket is not smaller than asked for");
}

void ExpectSame(const ClassHtb& sent, const Psched& clock, Bytes payload) {
  ClassInfo read;
  Expect(ParseClass(payload, clock, &read), "a class is read as one");
  Expect(read.handle == sent.handle && read.parent == sent.parent, "it has its place");
  Expect(read.rate == sent.rate && read.ceil == sent.ceil, "it has its rates");
  Expect(read.quantum_bytes == sent.quantum_bytes, "it has its quantum");
}

void ExpectSame(const FilterBpf& sent, const Psched&, Bytes payload) {
  FilterInfo read;
  Expect(ParseFilter(payload, &read) && read.bpf, "a filter is read as one");
  Expect(read.priority == sent.priority && read.handle == sent.handle, "it has its place");
  Expect(read.bpf->name == sent.name, "it has its name");
  Expect(read.bpf->classid == sent.classid.value_or(0), "it has its class");
}

template <class Other>
void ExpectSame(const Other&, const Psched&, Bytes) {}

void Check(const std::vector<Request>& requests, const Psched& clock) {
  MessageBuilder messages;
  for (const Request& request : requests) EncodeRequest(request, clock, &messages);
  messages.Number(1);
  Bytes rest = messages.All();
  auto request = requests.begin();
  for (size_t i = 0; i < messages.count(); i++) {
    Reply message;
    Expect(NextReply(&rest, &message), "there are as many messages as were begun");
    Expect(message.header.nlmsg_seq == i + 1, "they are numbered");
    ExpectWhole(message.payload.Skip(BodySize(message.header.nlmsg_type)));
    if (messages.Follows(i)) continue;
    std::visit([&](const auto& sent) { ExpectSame(sent, clock, message.payload); }, *request);
    ++request;
  }
  Expect(rest.size == 0, "nothing follows the last message");
  Expect(request == requests.end(), "each request begins one message");
}

}  // namespace
}  // namespace forknet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  constexpr size_t kMostRequests = 16;
  std::vector<forknet::Request> requests;
  while (input.remaining_bytes() > 0 && requests.size() < kMostRequests) {
    requests.push_back(forknet::MakeRequest(&input));
  }
  forknet::Check(requests, {0x3e8, 0x40, 1'000'000});
  return 0;
}
