// BPF programs by descriptor: load one of the compiled images, find one by id, run one on a frame.
// Refusals are thrown as KernelError.
#ifndef FORKNET_BPF_PROGRAM_H_
#define FORKNET_BPF_PROGRAM_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bpf/insn.h"
#include "bytes.h"
#include "unique_fd.h"

namespace forknet {

struct ProgramInfo {
  uint32_t id = 0;
  std::string tag;  // 16 lower-case hex digits.
  std::string name;
  std::vector<uint32_t> map_ids;
};

/** Fields of the frame's __sk_buff. Zero leaves the kernel's choice: the loopback device, and none.
 */
struct TestContext {
  uint32_t ifindex = 0;
  uint32_t ingress_ifindex = 0;
  /** Each run gets the frame as the one before has left it. */
  uint32_t repeat = 1;
};

struct TestResult {
  uint32_t action = 0;
  uint32_t tc_classid = 0;
  std::vector<uint8_t> frame;
  /** Of one run: the mean of all. */
  uint32_t duration_ns = 0;
};

/** The built-in program of that name, or nullptr. */
const ProgramImage* FindProgramImage(const std::string& name);

/**
 * Patches the descriptors of `maps` (by name) and the numbers of the kernel's types into the image
 * and loads it. A map that the image wants and `maps` lacks is EINVAL; others are ignored. What the
 * kernel's types lack is ENOENT. The verifier's last lines become the error's text.
 */
UniqueFd LoadProgram(const ProgramImage& image, const std::map<std::string, int>& maps);
UniqueFd OpenProgramById(uint32_t id);
ProgramInfo DescribeProgram(int fd);
/** BPF_PROG_TEST_RUN. */
TestResult TestRunProgram(int fd, Bytes frame, const TestContext& context);

}  // namespace forknet

#endif  // FORKNET_BPF_PROGRAM_H_
