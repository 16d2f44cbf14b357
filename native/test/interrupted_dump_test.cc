// A real kernel whose list of links changes while it is read, in a network namespace of the test's
// own.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dump_link.h"
#include "fake_kernel.h"
#include "link.h"
#include "netlink/socket.h"
#include "netns.h"

namespace forknet {
namespace {

constexpr uint32_t kTimeoutMs = 10'000;
/** More than the 32 KB of one datagram hold: a link takes about a kilobyte. */
constexpr int kLinks = 80;

// Not bridges: when their namespace ends, each holds RTNL for 20 ms (br_multicast_dev_del() waits
// in rcu_barrier()), and nobody on the machine can set up a link meanwhile.
void Make(Socket* socket, const std::string& name) {
  LinkCreate link;
  link.name = name;
  link.kind = "ifb";
  MessageBuilder message;
  Encode(link, &message);
  REQUIRE(socket->Talk(&message).at(0).error == 0);
}

void Delete(Socket* socket, int32_t ifindex) {
  MessageBuilder message;
  Encode(LinkDelete{ifindex}, &message);
  REQUIRE(socket->Talk(&message).at(0).error == 0);
}

std::vector<LinkInfo> Links(Socket* socket) {
  MessageBuilder request;
  EncodeLinkDump({}, &request);
  return socket->Dump<LinkInfo>(&request, "RTM_GETLINK", ParseLink);
}

size_t CountOf(const std::vector<LinkInfo>& links, const std::string& name) {
  return static_cast<size_t>(std::count_if(
      links.begin(), links.end(), [&](const LinkInfo& link) { return link.name == name; }));
}

/** In a thread of its own: a thread that has left its network namespace cannot go back. */
void InNewNetwork(const std::function<void()>& run) {
  std::string refusal;
  std::thread thread([&] {
    try {
      UnshareNetwork();
    } catch (const KernelError& error) {
      refusal = error.what();
      return;
    }
    run();
  });
  thread.join();
  if (refusal.empty()) return;
  const char* required = std::getenv("FORKNET_REQUIRE_KERNEL");
  const bool is_failure = required && std::string(required) == "1";
  if (is_failure) FAIL(refusal);
  MESSAGE("skipped, run as root: " << refusal);
}

TEST_CASE("a link that goes while links are listed is not listed") {
  InNewNetwork([] {
    Socket changer(kTimeoutMs);
    Socket socket(kTimeoutMs);
    for (int i = 0; i < kLinks; i++) Make(&changer, "b" + std::to_string(i));
    const std::vector<LinkInfo> before = Links(&socket);
    bool is_changed = false;
    // The first of them, which the first datagram holds.
    const BetweenDatagrams between([&] {
      if (!std::exchange(is_changed, true)) Delete(&changer, before.at(1).ifindex);
    });
    const std::vector<LinkInfo> links = Links(&socket);
    CHECK(is_changed);
    CHECK(links.size() == before.size() - 1);
    CHECK(CountOf(links, before.at(1).name) == 0);
  });
}

TEST_CASE("links that never stop coming end in EAGAIN, and the socket works on") {
  InNewNetwork([] {
    Socket changer(kTimeoutMs);
    Socket socket(kTimeoutMs);
    for (int i = 0; i < kLinks; i++) Make(&changer, "b" + std::to_string(i));
    int error = 0;
    {
      int serial = 0;
      const BetweenDatagrams between([&] { Make(&changer, "l" + std::to_string(serial++)); });
      try {
        Links(&socket);
      } catch (const KernelError& refused) {
        error = refused.error();
      }
    }
    CHECK(error == EAGAIN);
    CHECK(CountOf(Links(&socket), "b7") == 1);
  });
}

}  // namespace
}  // namespace forknet
