// Another user of RTNL: opens a TAP of its own again and again, as a VMM that starts does, and
// times TUNSETIFF.
//
//   opener PERIOD_US   prints "ready", then until its stdin closes nothing; then one JSON object
//   with the times of
//                      CLOCK_MONOTONIC at which each open began and how long it waited, in
//                      milliseconds
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <vector>

#include "batch.h"

static int OpenTap(double* waited_ms) {
  ifreq r{};
  std::strcpy(r.ifr_name, "vmm0");
  r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) Die("/dev/net/tun");
  double start = NowUs();
  if (ioctl(fd, TUNSETIFF, &r)) Die("TUNSETIFF");
  *waited_ms = (NowUs() - start) / 1e3;
  return fd;
}

int main(int argc, char** argv) {
  int period_us = argc > 1 ? std::atoi(argv[1]) : 2000;
  double waited;
  int fd = OpenTap(&waited);
  if (ioctl(fd, TUNSETPERSIST, 1)) Die("TUNSETPERSIST");
  close(fd);
  std::puts("ready");
  std::fflush(stdout);

  std::vector<double> at, wait;
  pollfd input{0, POLLIN, 0};
  while (poll(&input, 1, 0) == 0) {
    at.push_back(NowUs() / 1e3);
    fd = OpenTap(&waited);
    close(fd);
    wait.push_back(waited);
    usleep(static_cast<useconds_t>(period_us));
  }
  std::printf("{\"atMs\":[");
  for (size_t i = 0; i < at.size(); i++) std::printf("%s%.3f", i ? "," : "", at[i]);
  std::printf("],\"waitMs\":[");
  for (size_t i = 0; i < wait.size(); i++) std::printf("%s%.3f", i ? "," : "", wait[i]);
  std::printf("]}\n");
}
