// The socket against a kernel that answers late, twice, cut off, with somebody else's replies, or
// not at all.
#include "netlink/socket.h"

#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fake_kernel.h"

namespace forknet {
namespace {

constexpr uint32_t kTimeoutMs = 20;
constexpr uint32_t kStranger = 4242;

using Payload = std::vector<uint8_t>;
using Replies = std::vector<Datagram>;

/** An nlmsgerr: the errno, and the header it answers. */
Payload ErrorPayload(int error) {
  nlmsgerr ack{};
  ack.error = -error;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&ack);
  return {bytes, bytes + sizeof ack};
}

std::vector<uint8_t> AckTo(const Request& request, uint32_t index = 0, int error = 0) {
  return Message(NLMSG_ERROR, NLM_F_CAPPED, request.sequence + index, request.port,
                 ErrorPayload(error));
}

std::vector<uint8_t> Entry(const Request& request, uint8_t value, uint16_t flags = NLM_F_MULTI) {
  return Message(RTM_NEWLINK, flags, request.sequence, request.port, {value, 0, 0, 0});
}

std::vector<uint8_t> Done(const Request& request, uint16_t flags = NLM_F_MULTI, int error = 0) {
  const int32_t status = -error;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&status);
  return Message(NLMSG_DONE, flags, request.sequence, request.port, {bytes, bytes + sizeof status});
}

std::vector<uint8_t> Joined(std::vector<uint8_t> first, const std::vector<uint8_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/** Says that the message is longer than it is. */
std::vector<uint8_t> CutOff(std::vector<uint8_t> message) {
  message[0]++;
  return message;
}

MessageBuilder Requests(int count) {
  MessageBuilder builder;
  for (int i = 0; i < count; i++) builder.Start(RTM_SETLINK, kChangeRequest, ifinfomsg{});
  return builder;
}

std::vector<Ack> Talk(Socket* socket, int count = 1) {
  MessageBuilder requests = Requests(count);
  return socket->Talk(&requests);
}

/** The first byte of every entry. */
std::vector<uint8_t> Dump(Socket* socket) {
  MessageBuilder request;
  request.Start(RTM_GETLINK, kDumpRequest, ifinfomsg{});
  return socket->Dump<uint8_t>(&request, "RTM_GETLINK",
                               [](Bytes payload, uint8_t* value) { return payload.Read(value); });
}

std::vector<uint8_t> Get(Socket* socket) {
  MessageBuilder request;
  request.Start(RTM_GETLINK, NLM_F_REQUEST, ifinfomsg{});
  return socket->Get(&request, "RTM_GETLINK");
}

/** The errno that a call throws, 0 when it does not. */
template <class Call>
int ErrorOf(Call call) {
  try {
    call();
  } catch (const KernelError& error) {
    return error.error();
  }
  return 0;
}

TEST_CASE("refusals are matched by number, and the last message's answer ends the wait") {
  const FakeKernel kernel([](const Request& to) -> Replies {
    return {{Joined(AckTo(to, 0, EBUSY), AckTo(to, 2, EEXIST))}, {AckTo(to, 3)}};
  });
  Socket socket(kTimeoutMs);
  const std::vector<Ack> acks = Talk(&socket, 4);
  CHECK(acks[0].error == EBUSY);
  CHECK(acks[1].error == 0);
  CHECK(acks[2].error == EEXIST);
  CHECK(acks[3].error == 0);
}

TEST_CASE("without the last answer nothing counts as done") {
  const FakeKernel kernel([](const Request& to) -> Replies { return {{AckTo(to, 0, EBUSY)}}; });
  Socket socket(kTimeoutMs);
  CHECK(ErrorOf([&] { Talk(&socket, 2); }) == ETIMEDOUT);
}

TEST_CASE("alien replies are nobody's answer") {
  const FakeKernel kernel([](const Request& to) -> Replies {
    const Request later{to.sequence + 1, to.port};
    const Request earlier{to.sequence - 1, to.port};
    const Request others{to.sequence, to.port + 1};
    return {{AckTo(to, 0, EPERM), 0, kStranger},
            {Joined(AckTo(later, 0, EPERM), AckTo(earlier, 0, EPERM))},
            {Joined(AckTo(others, 0, EPERM), Entry(to, 7))},
            {AckTo(to, 0, ENOMEM)}};
  });
  Socket socket(kTimeoutMs);
  CHECK(Talk(&socket).at(0).error == ENOMEM);
}

TEST_CASE("a stranger who keeps talking does not hold the socket beyond its time-out") {
  const FakeKernel kernel(
      [](const Request& to) { return Replies(200'000, Datagram{AckTo(to), 0, kStranger}); });
  Socket socket(kTimeoutMs);
  CHECK(ErrorOf([&] { Talk(&socket); }) == ETIMEDOUT);
}

TEST_CASE("an answer that cannot be read is an error, and the socket works on") {
  struct Case {
    const char* name;
    std::function<Datagram(const Request&)> reply;
    int error;
  };
  const Case cases[] = {
      {"none in time", [](const Request&) { return Datagram{{}, EAGAIN}; }, ETIMEDOUT},
      {"no room for it", [](const Request&) { return Datagram{{}, ENOBUFS}; }, ENOBUFS},
      {"larger than the buffer", [](const Request& to) { return Datagram{AckTo(to), 0, 0, true}; },
       EMSGSIZE},
      {"longer than its datagram", [](const Request& to) { return Datagram{CutOff(AckTo(to))}; },
       EBADMSG},
      {"shorter than a header", [](const Request&) { return Datagram{{1, 2, 3}}; }, EBADMSG},
      {"shorter than an ack",
       [](const Request& to) {
         return Datagram{Message(NLMSG_ERROR, 0, to.sequence, to.port, {1, 2})};
       },
       EBADMSG},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    bool is_first = true;
    const FakeKernel kernel([&](const Request& to) -> Replies {
      if (!std::exchange(is_first, false)) return {{Joined(AckTo(to), AckTo(to, 1))}};
      return {one.reply(to), {AckTo(to, 1, EPERM)}};
    });
    Socket socket(kTimeoutMs);
    CHECK(ErrorOf([&] { Talk(&socket, 2); }) == one.error);
    // What the first request left unread is not the second one's answer.
    CHECK(Talk(&socket, 2).at(1).error == 0);
  }
}

TEST_CASE("a signal does not end the wait for an answer") {
  const FakeKernel kernel(
      [](const Request& to) -> Replies { return {{{}, EINTR}, {AckTo(to, 0, EBUSY)}}; });
  Socket socket(kTimeoutMs);
  CHECK(Talk(&socket).at(0).error == EBUSY);
}

TEST_CASE("one reply is waited for past alien ones, and must be whole") {
  Socket socket(kTimeoutMs);
  {
    const FakeKernel kernel([](const Request& to) -> Replies {
      const Request others{to.sequence + 9, to.port};
      return {{Entry(others, 1)}, {Entry(to, 2, 0)}};
    });
    CHECK(Get(&socket).at(0) == 2);
  }
  {
    const FakeKernel kernel([](const Request& to) -> Replies { return {{AckTo(to, 0, ENODEV)}}; });
    CHECK(ErrorOf([&] { Get(&socket); }) == ENODEV);
  }
  const FakeKernel kernel([](const Request& to) -> Replies { return {{CutOff(Entry(to, 2, 0))}}; });
  CHECK(ErrorOf([&] { Get(&socket); }) == EBADMSG);
}

TEST_CASE("a dump is read to its end") {
  const FakeKernel kernel([](const Request& to) -> Replies {
    const Request others{to.sequence - 1, to.port};
    const std::vector<uint8_t> nothing = Message(NLMSG_NOOP, 0, to.sequence, to.port, {9, 0, 0, 0});
    return {{Joined(Entry(to, 1), Entry(others, 9))}, {Joined(nothing, Entry(to, 2))}, {Done(to)}};
  });
  Socket socket(kTimeoutMs);
  CHECK(Dump(&socket) == std::vector<uint8_t>{1, 2});
  CHECK(kernel.sends() == 1);
}

TEST_CASE("a dump that was interrupted starts again") {
  const std::function<Replies(const Request&)> interrupted[] = {
      [](const Request& to) -> Replies {
        return {{Entry(to, 8)}, {Entry(to, 9, NLM_F_MULTI | NLM_F_DUMP_INTR)}, {Done(to)}};
      },
      [](const Request& to) -> Replies {
        return {{Entry(to, 8)}, {Done(to, NLM_F_MULTI | NLM_F_DUMP_INTR)}};
      },
      [](const Request& to) -> Replies {
        return {{Entry(to, 8)}, {Message(NLMSG_OVERRUN, 0, to.sequence, to.port)}, {Done(to)}};
      },
  };
  for (const auto& first : interrupted) {
    bool is_first = true;
    const FakeKernel kernel([&](const Request& to) -> Replies {
      if (std::exchange(is_first, false)) return first(to);
      return {{Joined(Entry(to, 1), Entry(to, 2))}, {Done(to)}};
    });
    Socket socket(kTimeoutMs);
    CHECK(Dump(&socket) == std::vector<uint8_t>{1, 2});
    CHECK(kernel.sends() == 2);
  }
}

TEST_CASE("a dump that is interrupted every time is given up") {
  const FakeKernel kernel([](const Request& to) -> Replies {
    return {{Entry(to, 8)}, {Done(to, NLM_F_MULTI | NLM_F_DUMP_INTR)}};
  });
  Socket socket(kTimeoutMs);
  CHECK(ErrorOf([&] { Dump(&socket); }) == EAGAIN);
  CHECK(kernel.sends() == Socket::kDumpAttempts);
}

TEST_CASE("a dump that does not come to its end is no shorter list but an error") {
  struct Case {
    const char* name;
    std::function<Datagram(const Request&)> end;
    int error;
  };
  const Case cases[] = {
      {"no end in time", [](const Request&) { return Datagram{{}, EAGAIN}; }, ETIMEDOUT},
      {"datagrams were lost", [](const Request&) { return Datagram{{}, ENOBUFS}; }, ENOBUFS},
      {"larger than the buffer",
       [](const Request& to) { return Datagram{Entry(to, 2), 0, 0, true}; }, EMSGSIZE},
      {"an entry that is cut off", [](const Request& to) { return Datagram{CutOff(Entry(to, 2))}; },
       EBADMSG},
      {"refused halfway", [](const Request& to) { return Datagram{AckTo(to, 0, ENOMEM)}; }, ENOMEM},
      {"failed halfway", [](const Request& to) { return Datagram{Done(to, NLM_F_MULTI, EIO)}; },
       EIO},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    bool is_first = true;
    const FakeKernel kernel([&](const Request& to) -> Replies {
      if (std::exchange(is_first, false)) return {{Entry(to, 1)}, one.end(to), {Done(to)}};
      return {{Entry(to, 3)}, {Done(to)}};
    });
    Socket socket(kTimeoutMs);
    CHECK(ErrorOf([&] { Dump(&socket); }) == one.error);
    CHECK(Dump(&socket) == std::vector<uint8_t>{3});
  }
}

}  // namespace
}  // namespace forknet
