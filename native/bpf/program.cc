// Programs over bpf(2): patching map descriptors and the kernel's numbers in, loading, finding,
// running on one frame.
#include "bpf/program.h"

#include <signal.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/kernel_types.h"
#include "bpf/programs.generated.h"
#include "bpf/syscall.h"
#include "netlink/kernel_error.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "programs.generated.h is little-endian; generate.sh needs a bpfeb build for this machine"
#endif

namespace forknet {
namespace {

constexpr size_t kVerifierLogBytes = size_t{256} * 1024;
constexpr size_t kVerifierLinesKept = 8;

// What a program may add to a frame in a test run; ours add nothing.
constexpr size_t kTestRoomBytes = 256;

std::string LastLines(std::string text, size_t lines) {
  text.erase(text.find_last_not_of('\n') + 1);
  size_t cut = text.size();
  while (lines-- > 0 && cut != std::string::npos && cut > 0) cut = text.rfind('\n', cut - 1);
  return cut == std::string::npos ? text : text.substr(std::min(cut + 1, text.size()));
}

std::vector<bpf_insn> PatchMaps(const ProgramImage& image, const std::map<std::string, int>& maps) {
  std::vector<bpf_insn> code(image.instructions, image.instructions + image.instruction_count);
  for (size_t i = 0; i < image.map_load_count; i++) {
    const MapLoad& load = image.map_loads[i];
    const auto map = maps.find(load.map);
    if (map == maps.end()) {
      throw KernelError(EINVAL, "BPF_PROG_LOAD", image.name,
                        std::string("Expected a map called ") + load.map);
    }
    code[load.instruction].src_reg = BPF_PSEUDO_MAP_FD;
    code[load.instruction].imm = map->second;
  }
  return code;
}

int32_t NumberOf(const KernelTypes& types, const KernelWant& want) {
  switch (want.kind) {
    case KernelWant::kFunction:
      return static_cast<int32_t>(types.FunctionId(want.name));
    case KernelWant::kMember:
      return static_cast<int32_t>(types.MemberBit(want.name, want.member));
    case KernelWant::kType:
      return static_cast<int32_t>(types.StructId(want.name));
    default:
      return static_cast<int32_t>(types.EnumeratorValue(want.name));
  }
}

void PatchNumbers(const ProgramImage& image, std::vector<bpf_insn>& code) {
  if (image.want_count == 0) return;
  const KernelTypes types = KernelTypes::Read();
  std::map<std::pair<std::string, std::string>, int32_t> known;
  for (size_t i = 0; i < image.want_count; i++) {
    const KernelWant& want = image.wants[i];
    // A search goes through all types of the kernel, and a program asks for the same ones again.
    const auto [number, is_new] = known.try_emplace({want.name, want.member}, 0);
    if (is_new) number->second = NumberOf(types, want);
    bpf_insn& instruction = code[want.instruction];
    // A constant has two instructions; the second is its upper half, and zero.
    if (want.kind == KernelWant::kFunction) instruction.src_reg = BPF_PSEUDO_KFUNC_CALL;
    instruction.imm = number->second;
  }
}

// Keeps signals from this thread while it lives. The verifier gives up with EAGAIN when one is
// pending (bpf_check looks at signal_pending), and under a profiler one always is.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &former_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t former_;
};

}  // namespace

const ProgramImage* FindProgramImage(const std::string& name) {
  for (const ProgramImage* image :
       {&kGuardImage, &kGuardKfuncImage, &kGuardTranslateImage, &kGuardTranslateKfuncImage,
        &kGateImage, &kGateTranslateImage, &kClassifyImage}) {
    if (name == image->name) return image;
  }
  return nullptr;
}

UniqueFd LoadProgram(const ProgramImage& image, const std::map<std::string, int>& maps) {
  std::vector<bpf_insn> code = PatchMaps(image, maps);
  PatchNumbers(image, code);
  bpf_attr attr = EmptyBpfAttr();
  attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attr.insns = BpfPointer(code.data());
  attr.insn_cnt = static_cast<uint32_t>(code.size());
  attr.license = BpfPointer(kLicense);
  std::strncpy(attr.prog_name, image.name, sizeof attr.prog_name - 1);
  const SignalsHeld held;
  UniqueFd program(Bpf(BPF_PROG_LOAD, &attr));
  if (program.valid()) return program;
  // A missing capability: the verifier was not reached, and has nothing to say.
  if (errno == EPERM) throw KernelError(EPERM, "BPF_PROG_LOAD", image.name);

  // Writing the log costs time and memory, so it is asked for only now.
  std::string log(kVerifierLogBytes, '\0');
  attr.log_level = 1;
  attr.log_buf = BpfPointer(log.data());
  attr.log_size = static_cast<uint32_t>(log.size());
  program.Reset(Bpf(BPF_PROG_LOAD, &attr));
  if (program.valid()) return program;
  log.resize(log.find('\0'));
  throw KernelError(errno, "BPF_PROG_LOAD", image.name, LastLines(log, kVerifierLinesKept));
}

UniqueFd OpenProgramById(uint32_t id) {
  bpf_attr attr = EmptyBpfAttr();
  attr.prog_id = id;
  UniqueFd fd(Bpf(BPF_PROG_GET_FD_BY_ID, &attr));
  if (!fd.valid()) throw KernelError(errno, "BPF_PROG_GET_FD_BY_ID", std::to_string(id));
  return fd;
}

ProgramInfo DescribeProgram(int fd) {
  bpf_prog_info info = {};
  if (BpfObjectInfo(fd, &info) < 0) throw KernelError(errno, "BPF_OBJ_GET_INFO_BY_FD");
  ProgramInfo result;
  result.map_ids.resize(info.nr_map_ids);
  if (info.nr_map_ids > 0) {
    // Ids are written only into room that is given, so the first answer was how many there are.
    info = {};
    info.nr_map_ids = static_cast<uint32_t>(result.map_ids.size());
    info.map_ids = BpfPointer(result.map_ids.data());
    if (BpfObjectInfo(fd, &info) < 0) throw KernelError(errno, "BPF_OBJ_GET_INFO_BY_FD");
  }
  result.id = info.id;
  result.name = info.name;
  for (const uint8_t byte : info.tag) {
    result.tag += "0123456789abcdef"[byte >> 4];
    result.tag += "0123456789abcdef"[byte & 15];
  }
  return result;
}

TestResult TestRunProgram(int fd, Bytes frame, const TestContext& context) {
  __sk_buff in = {};
  in.ifindex = context.ifindex;
  in.ingress_ifindex = context.ingress_ifindex;
  __sk_buff out = {};
  TestResult result;
  result.frame.resize(frame.size + kTestRoomBytes);
  bpf_attr attr = EmptyBpfAttr();
  attr.test.prog_fd = static_cast<uint32_t>(fd);
  attr.test.data_in = BpfPointer(frame.data);
  attr.test.data_size_in = static_cast<uint32_t>(frame.size);
  attr.test.data_out = BpfPointer(result.frame.data());
  attr.test.data_size_out = static_cast<uint32_t>(result.frame.size());
  attr.test.ctx_in = BpfPointer(&in);
  attr.test.ctx_size_in = sizeof in;
  attr.test.ctx_out = BpfPointer(&out);
  attr.test.ctx_size_out = sizeof out;
  attr.test.repeat = context.repeat;
  if (Bpf(BPF_PROG_TEST_RUN, &attr) < 0) throw KernelError(errno, "BPF_PROG_TEST_RUN");
  result.action = attr.test.retval;
  result.tc_classid = out.tc_classid;
  result.duration_ns = attr.test.duration;
  result.frame.resize(std::min<size_t>(attr.test.data_size_out, result.frame.size()));
  return result;
}

}  // namespace forknet
