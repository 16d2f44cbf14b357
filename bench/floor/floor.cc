// The kernel's floor: what the kernel itself needs for one guest's network, with no runtime on top.
// One thread, raw system calls, in the namespace it is started in.
//
//   floor bare N ONE PACE_US   a TAP, shaped, attached, isolated, up: the least that can be called
//   a guest's network floor full N ONE   what forknet makes: a second filter, a leaf queue, port
//   flags, FDB, neighbour, alias
//
// Makes N slots, PACE_US apart, arms and re-shapes each, deletes ONE of them one at a time and the
// rest as one link group, and prints one JSON object of samples in microseconds. One group is the
// floor of a release; it holds RTNL throughout, so that a real one goes in chunks.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "messages.h"

static const uint32_t kGroup = 4242;
static const uint32_t kSubnet = 0x0a640000;
static int netlink = -1, inet = -1, bridge, ifb;
static Batch batch;

static int Bpf(int command, bpf_attr& attributes) {
  int result = static_cast<int>(syscall(__NR_bpf, command, &attributes, sizeof attributes));
  if (result < 0) Die("bpf");
  return result;
}

static int LoadProgram() {
  bpf_insn code[] = {{0xb7, 0, 0, 0, 0}, {0x95, 0, 0, 0, 0}};  // return TC_ACT_OK
  bpf_attr a{};
  a.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  a.insns = reinterpret_cast<uint64_t>(code);
  a.insn_cnt = 2;
  a.license = reinterpret_cast<uint64_t>("GPL");
  return Bpf(BPF_PROG_LOAD, a);
}

static int CreateMap(uint32_t value_size) {
  bpf_attr a{};
  a.map_type = BPF_MAP_TYPE_HASH;
  a.key_size = 4;
  a.value_size = value_size;
  a.max_entries = 65536;
  a.map_flags = BPF_F_NO_PREALLOC;
  return Bpf(BPF_MAP_CREATE, a);
}

static void ReadTicks() {
  unsigned a, b;
  FILE* f = std::fopen("/proc/net/psched", "r");
  if (!f || std::fscanf(f, "%x %x", &a, &b) != 2) Die("/proc/net/psched");
  std::fclose(f);
  ticks_per_us = static_cast<double>(a) / b;
}

static void OpenNetwork(bool full) {
  netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(netlink, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (full) AddSteadyBridge(batch, "br0");
  if (!full) AddLink(batch, "br0", "bridge");
  AddLink(batch, "ifb-up", "ifb");
  batch.Must(netlink, "links");
  bridge = static_cast<int>(if_nametoindex("br0"));
  ifb = static_cast<int>(if_nametoindex("ifb-up"));
  HtbRoot(batch, ifb);
  HtbClass(batch, ifb, 0x10000, 0x10001, 1'250'000'000, 1'250'000'000, NLM_F_CREATE | NLM_F_EXCL);
  HtbClass(batch, ifb, 0x10001, 0x10002, 1'250'000'000, 1'250'000'000, NLM_F_CREATE | NLM_F_EXCL);
  batch.Must(netlink, "htb");
}

struct Slot {
  int ifindex;
  uint32_t ip;
  uint32_t minor;
};

static Slot CreateSlot(uint32_t n, bool full, int program) {
  ifreq r{};
  std::snprintf(r.ifr_name, IFNAMSIZ, "floor-%06x", n);
  r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) Die("/dev/net/tun");
  if (ioctl(fd, TUNSETIFF, &r)) Die("TUNSETIFF");
  if (full && ioctl(fd, TUNSETOWNER, geteuid())) Die("TUNSETOWNER");
  if (!full && ioctl(fd, TUNSETPERSIST, 1)) Die("TUNSETPERSIST");
  if (ioctl(inet, SIOCGIFINDEX, &r)) Die("SIOCGIFINDEX");
  Slot slot{r.ifr_ifindex, kSubnet + 2 + n, 0x10 + n};
  // Qdiscs while the link is down (no grace period to wait for), clsact before close(), whose grace
  // period also serves the filters, and those after it.
  if (full)
    SetLink(batch, slot.ifindex, IFLA_IFALIAS,
            "forknet1 vm-1 web-1 10.100.0.7 02:00:0a:64:00:07 1:10 down=100mbit");
  Tbf(batch, slot.ifindex, 12'500'000, 200'000);
  Clsact(batch, slot.ifindex);
  batch.Must(netlink, "qdiscs");
  if (full && ioctl(fd, TUNSETPERSIST, 1)) Die("TUNSETPERSIST");
  close(fd);

  uint8_t mac[6] = {
      2, 0, 10, 100, static_cast<uint8_t>(slot.ip >> 8), static_cast<uint8_t>(slot.ip)};
  BpfFilter(batch, slot.ifindex, TC_H_MIN_INGRESS, program);
  if (full) BpfFilter(batch, slot.ifindex, TC_H_MIN_EGRESS, program);
  HtbClass(batch, ifb, 0x10001, 0x10000 + slot.minor, 1'250'000, 5'000'000,
           NLM_F_CREATE | NLM_F_EXCL);
  if (full) Leaf(batch, ifb, 0x10000 + slot.minor, slot.minor << 16, 400'000);
  SetLink(batch, slot.ifindex, IFLA_MASTER, bridge);
  SetPort(batch, slot.ifindex, full);
  if (full) Fdb(batch, slot.ifindex, mac);
  if (full) Neighbor(batch, RTM_NEWNEIGH, bridge, slot.ip, mac);
  // UP last, so that the port is isolated before it carries anything.
  SetUp(batch, slot.ifindex);
  batch.Must(netlink, "attach");
  return slot;
}

static void Arm(int map, const Slot& slot, void* value) {
  bpf_attr a{};
  a.map_fd = static_cast<uint32_t>(map);
  a.key = reinterpret_cast<uint64_t>(&slot.ifindex);
  a.value = reinterpret_cast<uint64_t>(value);
  Bpf(BPF_MAP_UPDATE_ELEM, a);
}

static void Reshape(const Slot& slot) {
  Tbf(batch, slot.ifindex, 25'000'000, 400'000);
  HtbClass(batch, ifb, 0x10001, 0x10000 + slot.minor, 2'500'000, 9'000'000, 0);
  batch.Must(netlink, "reshape");
}

static void ForgetNeighbor(const Slot& slot) {
  uint8_t mac[6] = {};
  Neighbor(batch, RTM_DELNEIGH, bridge, slot.ip, mac);
}

static void Print(const char* name, const std::vector<double>& samples) {
  std::printf("\"%s\":[", name);
  for (size_t i = 0; i < samples.size(); i++) std::printf("%s%.1f", i ? "," : "", samples[i]);
  std::printf("],");
}

int main(int argc, char** argv) {
  std::string order = argc > 1 ? argv[1] : "";
  int n = argc > 2 ? std::atoi(argv[2]) : 0;
  int one = argc > 3 ? std::atoi(argv[3]) : 0;
  int pace_us = argc > 4 ? std::atoi(argv[4]) : 0;
  bool full = order == "full";
  if ((!full && order != "bare") || n < 1 || n > 1000 || one < 0 || one > n) {
    std::fprintf(stderr, "usage: floor bare|full N(1..1000) ONE(0..N) [PACE_US]\n");
    return 2;
  }
  ReadTicks();
  OpenNetwork(full);
  int program = LoadProgram();
  char value[288] = {1};
  int map = CreateMap(sizeof value);

  std::vector<Slot> slots;
  std::vector<double> cold, arm, reshape, alone;
  auto timed = [](std::vector<double>& samples, auto work) {
    double start = NowUs();
    work();
    samples.push_back(NowUs() - start);
  };
  for (int i = 0; i < n; i++) {
    if (pace_us > 0) usleep(static_cast<useconds_t>(pace_us));
    timed(cold, [&] { slots.push_back(CreateSlot(static_cast<uint32_t>(i), full, program)); });
  }
  for (const Slot& slot : slots) {
    timed(arm, [&] { Arm(map, slot, value); });
    timed(reshape, [&] { Reshape(slot); });
  }
  for (int i = 0; i < one; i++) {
    timed(alone, [&] {
      if (full) ForgetNeighbor(slots[static_cast<size_t>(i)]);
      DeleteLink(batch, slots[static_cast<size_t>(i)].ifindex);
      batch.Must(netlink, "delete");
    });
  }
  double start = NowUs();
  for (size_t i = static_cast<size_t>(one); i < slots.size(); i++) {
    if (batch.Full()) batch.Must(netlink, "group");
    SetLink(batch, slots[i].ifindex, IFLA_GROUP, kGroup);
    if (full) ForgetNeighbor(slots[i]);
  }
  batch.Must(netlink, "group");
  if (one < n) DeleteGroup(batch, kGroup);
  batch.Must(netlink, "delete group");
  double group = NowUs() - start;

  std::printf("{");
  Print("coldUs", cold);
  Print("armUs", arm);
  Print("reshapeUs", reshape);
  Print("deleteOneUs", alone);
  // On CLOCK_MONOTONIC, to be laid beside what others saw meanwhile.
  std::printf("\"groupAtMs\":%.3f,\"deleteGroupMs\":%.3f,\"grouped\":%d}\n", start / 1e3,
              group / 1e3, n - one);
}
