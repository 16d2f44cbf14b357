// The one program of ours inside a guest, and beside it on the host: TCP flows, frames as they are
// given, and a count of the frames that carry a mark. Static, no libraries.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536, FRAME_BYTES = 65536, LINE_BYTES = 8192 };

static volatile sig_atomic_t is_over;

static void end(int signal) {
  (void)signal;
  is_over = 1;
}

static int fail(const char* what) {
  perror(what);
  return 1;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int connect_to(const char* host, const char* port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return -1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

// Sends until the peer has seen enough.
static int send_flow(int fd) {
  static char block[BLOCK_BYTES];
  while (write(fd, block, sizeof block) > 0) continue;
  return errno == EPIPE || errno == ECONNRESET ? 0 : fail("write");
}

// Prints bits per second between the first arrival after the warm-up and the last.
static int receive_flow(int fd, uint64_t warm_up_ms, uint64_t measured_ms) {
  static char block[BLOCK_BYTES];
  uint64_t first = 0, start = 0, last = 0, bytes = 0;
  ssize_t got = 0;
  while ((got = read(fd, block, sizeof block)) > 0) {
    last = now_ns();
    if (!first) first = last;
    if (last - first < warm_up_ms * 1000000U) continue;
    // What ends the warm-up was on its way before, and counts as its end only.
    if (!start) {
      start = last;
      continue;
    }
    bytes += (uint64_t)got;
    if (last - start >= measured_ms * 1000000U) break;
  }
  if (got < 0) return fail("read");
  if (last <= start || !start) return fail("nothing measured");
  printf("%.0f\n", (double)bytes * 8e9 / (double)(last - start));
  return 0;
}

static int open_device(const char* name, int protocol) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons((uint16_t)protocol));
  struct sockaddr_ll at = {.sll_family = AF_PACKET,
                           .sll_protocol = htons((uint16_t)protocol),
                           .sll_ifindex = (int)if_nametoindex(name)};
  if (fd < 0 || bind(fd, (struct sockaddr*)&at, sizeof at) != 0) return -1;
  return fd;
}

// Sends one frame, in hex, so many times; prints how many the device took.
static int send_frames(const char* device, const char* hex, int times) {
  unsigned char frame[LINE_BYTES];
  size_t length = strlen(hex) / 2;
  if (length > sizeof frame) return 1;
  for (size_t i = 0; i < length; i++) {
    const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
    frame[i] = (unsigned char)strtoul(digits, NULL, 16);
  }
  int fd = open_device(device, 0);
  if (fd < 0) return fail(device);
  int sent = 0;
  for (int i = 0; i < times; i++) {
    if (write(fd, frame, length) == (ssize_t)length) sent++;
    usleep(1000);
  }
  printf("%d\n", sent);
  return 0;
}

// Counts arriving frames that carry the mark until SIGTERM, with `all` also those for other
// stations; then prints the count. "ready" is printed first.
static int watch(const char* device, const char* mark, int all) {
  static char frame[FRAME_BYTES];
  int fd = open_device(device, ETH_P_ALL);
  if (fd < 0) return fail(device);
  struct packet_mreq others = {.mr_ifindex = (int)if_nametoindex(device),
                               .mr_type = PACKET_MR_PROMISC};
  if (all && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &others, sizeof others) != 0)
    return fail("promiscuous");
  struct timeval tick = {.tv_usec = 100000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
  struct sigaction on_end = {.sa_handler = end};
  sigaction(SIGTERM, &on_end, NULL);
  puts("ready");
  fflush(stdout);
  uint64_t count = 0;
  for (;;) {
    struct sockaddr_ll from;
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr*)&from, &size);
    // What has arrived is counted to the end.
    if (got < 0 && is_over) break;
    if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
    if (memmem(frame, (size_t)got, mark, strlen(mark))) count++;
  }
  printf("%llu\n", (unsigned long long)count);
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  signal(SIGPIPE, SIG_IGN);
  if (!strcmp(what, "send") && argc == 4) {
    int fd = connect_to(argv[2], argv[3]);
    return fd < 0 ? fail("connect") : send_flow(fd);
  }
  if (!strcmp(what, "receive") && argc == 6) {
    int fd = connect_to(argv[2], argv[3]);
    return fd < 0 ? fail("connect")
                  : receive_flow(fd, strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
  }
  if (!strcmp(what, "frames") && argc == 5) return send_frames(argv[2], argv[3], atoi(argv[4]));
  if (!strcmp(what, "watch") && argc == 4) return watch(argv[2], argv[3], 0);
  if (!strcmp(what, "watch-all") && argc == 4) return watch(argv[2], argv[3], 1);
  fputs(
      "usage: traffic send HOST PORT | receive HOST PORT WARM_UP_MS MEASURED_MS | "
      "frames DEVICE HEX TIMES | watch[-all] DEVICE MARK\n",
      stderr);
  return 2;
}
