// Records what this kernel answers in the current network namespace, as inputs of the fuzz targets:
// capture DIRECTORY writes DIRECTORY/<target>/<name>-<number>. Only what no earlier answer said.
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dump_ip.h"
#include "dump_link.h"
#include "dump_tc.h"
#include "flow.h"
#include "fuzz/script.h"
#include "generation.h"
#include "netlink/attributes.h"
#include "netlink/kernel_error.h"
#include "request.h"
#include "unique_fd.h"

namespace forknet {
namespace {

using Datagram = std::vector<uint8_t>;

constexpr size_t kReceiveBytes = 65536;
/** A script with more would be a slow input. */
constexpr size_t kMaxScriptBytes = 4096;

Bytes View(const Datagram& datagram) { return {datagram.data(), datagram.size()}; }

/** Whether the answer to a request ends here. */
bool Ends(Bytes datagram, bool is_dump) {
  for (Reply reply; NextReply(&datagram, &reply);) {
    const uint16_t type = reply.header.nlmsg_type;
    if (type == NLMSG_DONE || type == NLMSG_ERROR || !is_dump) return true;
  }
  return false;
}

class Capture {
 public:
  explicit Capture(std::string directory) : directory_(std::move(directory)) {}

  /** Asks with a socket of its own. `whole` makes refusals carry the refused message. */
  void Ask(const std::string& target, const std::string& name, MessageBuilder request,
           bool is_dump = true, bool whole = false) {
    request.Number(1);
    const bool is_netfilter = target == "flow" || target == "generation";
    const int protocol = is_netfilter ? NETLINK_NETFILTER : NETLINK_ROUTE;
    const std::vector<Datagram> answer = Exchange(protocol, request.All(), is_dump, whole);
    Datagram script = {static_cast<uint8_t>(is_dump ? kScriptDump : kScriptGet), 1};
    if (target == "ack") script = {kScriptTalk, 0};
    for (const Datagram& datagram : answer) {
      script.push_back(static_cast<uint8_t>(datagram.size()));
      script.push_back(static_cast<uint8_t>(datagram.size() >> 8));
      script.insert(script.end(), datagram.begin(), datagram.end());
      if (target == "ack") Write(target, name, View(datagram));
      Bytes rest = View(datagram);
      for (Reply reply; target != "ack" && NextReply(&rest, &reply);) {
        const bool is_end = reply.header.nlmsg_type == NLMSG_DONE;
        Write(is_end ? "ack" : target, is_end ? "done" : name, reply.payload);
      }
    }
    if (script.size() <= kMaxScriptBytes) Write("socket", name, View(script));
  }

 private:
  static std::vector<Datagram> Exchange(int protocol, Bytes request, bool is_dump, bool whole) {
    const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd.valid()) throw KernelError(errno, "socket");
    const int on = 1;
    const int capped = whole ? 0 : 1;
    setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &capped, sizeof capped);
    setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    if (send(fd.get(), request.data, request.size, 0) < 0) throw KernelError(errno, "send");
    std::vector<Datagram> answer;
    do {
      Datagram datagram(kReceiveBytes);
      const ssize_t size = recv(fd.get(), datagram.data(), datagram.size(), 0);
      if (size < 0) throw KernelError(errno, "recv");
      datagram.resize(static_cast<size_t>(size));
      Readdress(&datagram);
      answer.push_back(std::move(datagram));
    } while (!Ends(View(answer.back()), is_dump));
    return answer;
  }

  /** The port is the process's and differs from run to run; the targets expect one number. */
  static void Readdress(Datagram* datagram) {
    Bytes rest = View(*datagram);
    for (Reply reply; rest.size > 0;) {
      const size_t at = datagram->size() - rest.size;
      if (!NextReply(&rest, &reply)) break;
      std::memcpy(datagram->data() + at + offsetof(nlmsghdr, nlmsg_pid), &kScriptPort,
                  sizeof kScriptPort);
    }
  }

  void Write(const std::string& target, const std::string& name, Bytes bytes) {
    std::string content;
    if (bytes.size) content.assign(reinterpret_cast<const char*>(bytes.data), bytes.size);
    if (!written_[target].insert(content).second) return;
    const std::filesystem::path folder = std::filesystem::path(directory_) / target;
    std::filesystem::create_directories(folder);
    const int number = ++numbers_[target + "/" + name];
    std::ofstream file(folder / (name + "-" + std::to_string(number)), std::ios::binary);
    file << content;
  }

  std::string directory_;
  std::map<std::string, std::set<std::string>> written_;
  std::map<std::string, int> numbers_;
};

MessageBuilder Of(const Request& change) {
  MessageBuilder message;
  EncodeRequest(change, Psched::Read(), &message);
  return message;
}

void CaptureLinks(Capture* capture) {
  MessageBuilder all;
  EncodeLinkDump({}, &all);
  capture->Ask("link", "dump", all);
  struct if_nameindex* const links = if_nameindex();
  for (const struct if_nameindex* link = links; link->if_index != 0; link++) {
    MessageBuilder get;
    EncodeLinkGet(std::string(link->if_name), &get);
    capture->Ask("link", link->if_name, get, false);
    const auto ifindex = static_cast<int32_t>(link->if_index);
    MessageBuilder classes;
    EncodeClassDump(ifindex, &classes);
    capture->Ask("tc", "class", classes);
    for (const uint32_t parent : {0x10000U, 0xfffffff2U, 0xfffffff3U}) {
      MessageBuilder filters;
      EncodeFilterDump(ifindex, parent, &filters);
      capture->Ask("tc", "filter", filters);
    }
    MessageBuilder entries;
    EncodeFdbDump(ifindex, &entries);
    capture->Ask("ip", "fdb", entries);
  }
  if_freenameindex(links);
}

void CaptureAll(Capture* capture) {
  CaptureLinks(capture);
  MessageBuilder qdiscs;
  EncodeQdiscDump(&qdiscs);
  capture->Ask("tc", "qdisc", qdiscs);
  MessageBuilder addresses;
  EncodeAddressDump(std::nullopt, &addresses);
  capture->Ask("ip", "address", addresses);
  MessageBuilder routes;
  EncodeRouteDump(&routes);
  capture->Ask("ip", "route", routes);
  MessageBuilder rules;
  EncodeRuleDump(&rules);
  capture->Ask("ip", "rule", rules);
  MessageBuilder neighbors;
  EncodeNeighborDump(std::nullopt, &neighbors);
  capture->Ask("ip", "neighbor", neighbors);
  constexpr uint32_t kLocalhost = 0x7f000001;
  for (const FlowSide side : {FlowSide::kOriginal, FlowSide::kReply}) {
    MessageBuilder flows;
    EncodeFlowDump(kLocalhost, side, &flows);
    capture->Ask("flow", "udp", flows);
  }
  MessageBuilder generation;
  generation.Start(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_REQUEST, nfgenmsg{});
  capture->Ask("generation", "nft", generation, false);

  constexpr int32_t kLoopback = 1;
  LinkSet nothing;
  nothing.ifindex = kLoopback;
  capture->Ask("ack", "accepted", Of(nothing), false);
  for (const bool whole : {false, true}) {
    capture->Ask("ack", "no-link", Of(LinkDelete{0x7ffffff0}), false, whole);
    capture->Ask("ack", "not-deletable", Of(LinkDelete{kLoopback}), false, whole);
    LinkCreate twice;
    twice.name = "lo";
    twice.kind = "ifb";
    capture->Ask("ack", "exists", Of(twice), false, whole);
    // The kernel says in words what is wrong with these two.
    QdiscTbf small{TcVerb::kAdd, kLoopback, 0x10000, std::nullopt, 1, 1, 1};
    capture->Ask("ack", "bucket", Of(small), false, whole);
    ClassDelete orphan{kLoopback, 0x10001};
    capture->Ask("ack", "no-class", Of(orphan), false, whole);
  }
}

}  // namespace
}  // namespace forknet

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: capture DIRECTORY\n";
    return 2;
  }
  try {
    forknet::Capture capture(arguments[1]);
    forknet::CaptureAll(&capture);
  } catch (const std::exception& error) {
    std::cerr << "capture: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
