// Maps over bpf(2): lengths are checked here, so that no caller can make the kernel run past a
// buffer.
#include "bpf/map.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "bpf/syscall.h"
#include "netlink/kernel_error.h"

namespace forknet {
namespace {

// ENOTSUPP, the kernel's own "this map has no such operation"; <errno.h> does not have it.
constexpr int kNotSupported = 524;

// One system call for an ordinary host, and about 200 KiB of leases.
constexpr uint32_t kBatchEntries = 1024;

bpf_map_info ReadInfo(int fd) {
  bpf_map_info info = {};
  if (BpfObjectInfo(fd, &info) < 0) throw KernelError(errno, "BPF_OBJ_GET_INFO_BY_FD");
  return info;
}

size_t TransferBytes(const bpf_map_info& info) {
  if (info.type != BPF_MAP_TYPE_PERCPU_ARRAY) return info.value_size;
  return size_t{PossibleCpus()} * ((size_t{info.value_size} + 7) / 8 * 8);
}

void CheckLength(const char* what, size_t wanted, size_t received, const bpf_map_info& info,
                 const char* command) {
  if (received == wanted) return;
  throw KernelError(EINVAL, command, info.name,
                    std::string("Expected a ") + what + " of " + std::to_string(wanted) +
                        " bytes, but received " + std::to_string(received));
}

bpf_map_info CheckKey(int fd, size_t key_bytes, const char* command) {
  const bpf_map_info info = ReadInfo(fd);
  if (info.type != BPF_MAP_TYPE_HASH && info.type != BPF_MAP_TYPE_ARRAY &&
      info.type != BPF_MAP_TYPE_PERCPU_ARRAY) {
    throw KernelError(EINVAL, command, info.name,
                      "Expected a hash, array or percpu_array map, but received type " +
                          std::to_string(info.type));
  }
  CheckLength("key", info.key_size, key_bytes, info, command);
  return info;
}

bpf_map_info CheckEntry(int fd, size_t key_bytes, size_t value_bytes, const char* command) {
  const bpf_map_info info = CheckKey(fd, key_bytes, command);
  CheckLength("value", TransferBytes(info), value_bytes, info, command);
  return info;
}

bpf_attr EntryAttr(int fd, const uint8_t* key, const uint8_t* value) {
  bpf_attr attr = EmptyBpfAttr();
  attr.map_fd = static_cast<uint32_t>(fd);
  attr.key = BpfPointer(key);
  attr.value = BpfPointer(value);
  return attr;
}

// The caller has checked the lengths.
bool LookUp(int fd, const uint8_t* key, uint8_t* value) {
  bpf_attr attr = EntryAttr(fd, key, value);
  if (Bpf(BPF_MAP_LOOKUP_ELEM, &attr) >= 0) return true;
  if (errno == ENOENT) return false;
  throw KernelError(errno, "BPF_MAP_LOOKUP_ELEM");
}

}  // namespace

UniqueFd CreateMap(const MapSpec& spec) {
  bpf_attr attr = EmptyBpfAttr();
  attr.map_type = spec.type;
  attr.key_size = spec.key_bytes;
  attr.value_size = spec.value_bytes;
  attr.max_entries = spec.max_entries;
  attr.map_flags = spec.no_prealloc ? static_cast<uint32_t>(BPF_F_NO_PREALLOC) : 0;
  if (spec.name.size() >= sizeof attr.map_name) {
    throw KernelError(EINVAL, "BPF_MAP_CREATE", spec.name,
                      "Expected a name of at most 15 characters");
  }
  spec.name.copy(attr.map_name, spec.name.size());
  UniqueFd fd(Bpf(BPF_MAP_CREATE, &attr));
  if (!fd.valid()) throw KernelError(errno, "BPF_MAP_CREATE", spec.name);
  return fd;
}

UniqueFd OpenMapById(uint32_t id) {
  bpf_attr attr = EmptyBpfAttr();
  attr.map_id = id;
  UniqueFd fd(Bpf(BPF_MAP_GET_FD_BY_ID, &attr));
  if (!fd.valid()) throw KernelError(errno, "BPF_MAP_GET_FD_BY_ID", std::to_string(id));
  return fd;
}

MapInfo DescribeMap(int fd) {
  const bpf_map_info info = ReadInfo(fd);
  return {info.id, info.type, info.key_size, info.value_size, info.max_entries, info.name};
}

uint32_t PossibleCpus() {
  constexpr char kPath[] = "/sys/devices/system/cpu/possible";
  std::ifstream file(kPath);
  std::string ranges;
  if (!std::getline(file, ranges)) {
    throw KernelError(errno, "open", kPath);
  }
  // A list of ranges: "0-3,8-11".
  uint32_t count = 0;
  const char* at = ranges.c_str();
  while (true) {
    char* end = nullptr;
    const auto first = static_cast<uint32_t>(std::strtoul(at, &end, 10));
    const auto last = *end == '-' ? static_cast<uint32_t>(std::strtoul(end + 1, &end, 10)) : first;
    count += last - first + 1;
    if (*end != ',') {
      return count;
    }
    at = end + 1;
  }
}

bool GetMapValue(int fd, Bytes key, uint8_t* value, size_t value_bytes) {
  CheckEntry(fd, key.size, value_bytes, "BPF_MAP_LOOKUP_ELEM");
  return LookUp(fd, key.data, value);
}

void SetMapValue(int fd, Bytes key, Bytes value) {
  const bpf_map_info info = CheckEntry(fd, key.size, value.size, "BPF_MAP_UPDATE_ELEM");
  bpf_attr attr = EntryAttr(fd, key.data, value.data);
  if (Bpf(BPF_MAP_UPDATE_ELEM, &attr) < 0) {
    throw KernelError(errno, "BPF_MAP_UPDATE_ELEM", info.name);
  }
}

bool DeleteMapValue(int fd, Bytes key) {
  const bpf_map_info info = CheckKey(fd, key.size, "BPF_MAP_DELETE_ELEM");
  bpf_attr attr = EntryAttr(fd, key.data, nullptr);
  if (Bpf(BPF_MAP_DELETE_ELEM, &attr) >= 0) return true;
  if (errno == ENOENT) return false;
  throw KernelError(errno, "BPF_MAP_DELETE_ELEM", info.name);
}

MapContents ListMap(int fd, size_t key_bytes, size_t value_bytes) {
  const bpf_map_info info = CheckEntry(fd, key_bytes, value_bytes, "BPF_MAP_LOOKUP_BATCH");
  uint32_t room = std::min(info.max_entries, kBatchEntries);
  // Where the next batch goes on: a bucket's number in a hash, a key in an array.
  std::vector<uint8_t> place(std::max(key_bytes, sizeof(uint32_t)));
  std::vector<uint8_t> next_place(place.size());
  MapContents contents;
  bool first = true;
  bool more = true;
  while (more) {
    contents.keys.resize((contents.count + room) * key_bytes);
    contents.values.resize((contents.count + room) * value_bytes);
    bpf_attr attr = EmptyBpfAttr();
    attr.batch.map_fd = static_cast<uint32_t>(fd);
    attr.batch.in_batch = first ? 0 : BpfPointer(place.data());
    attr.batch.out_batch = BpfPointer(next_place.data());
    attr.batch.keys = BpfPointer(contents.keys.data() + contents.count * key_bytes);
    attr.batch.values = BpfPointer(contents.values.data() + contents.count * value_bytes);
    attr.batch.count = room;
    if (Bpf(BPF_MAP_LOOKUP_BATCH, &attr) < 0) {
      const int error = errno;
      // Batches are newer (5.6) than the rest: before, the command is EINVAL, and later a map may
      // lack them.
      if (first && (error == EINVAL || error == kNotSupported)) {
        return ListMapByKey(fd, key_bytes, value_bytes);
      }
      if (error == ENOSPC) {
        // A bucket is copied whole or not at all, and this one holds more than there is room for.
        room *= 2;
        continue;
      }
      // ENOENT is the end, and comes with the last entries.
      if (error != ENOENT) throw KernelError(error, "BPF_MAP_LOOKUP_BATCH", info.name);
      more = false;
    }
    contents.count += attr.batch.count;
    place.swap(next_place);
    first = false;
  }
  contents.keys.resize(contents.count * key_bytes);
  contents.values.resize(contents.count * value_bytes);
  return contents;
}

MapContents ListMapByKey(int fd, size_t key_bytes, size_t value_bytes) {
  const bpf_map_info info = CheckEntry(fd, key_bytes, value_bytes, "BPF_MAP_GET_NEXT_KEY");
  MapContents contents;
  std::set<std::vector<uint8_t>> seen;
  std::vector<uint8_t> key(key_bytes), next_key(key_bytes), value(value_bytes);
  // After a key that is gone the kernel starts over; the limit ends a walk that never gets through.
  const uint64_t limit = uint64_t{2} * info.max_entries + 1;
  for (uint64_t step = 0; step < limit; step++) {
    bpf_attr attr = EmptyBpfAttr();
    attr.map_fd = static_cast<uint32_t>(fd);
    attr.key = step == 0 ? 0 : BpfPointer(key.data());
    attr.next_key = BpfPointer(next_key.data());
    if (Bpf(BPF_MAP_GET_NEXT_KEY, &attr) < 0) {
      if (errno == ENOENT) return contents;
      throw KernelError(errno, "BPF_MAP_GET_NEXT_KEY", info.name);
    }
    key = next_key;
    if (!seen.insert(key).second || !LookUp(fd, key.data(), value.data())) continue;
    contents.count++;
    contents.keys.insert(contents.keys.end(), key.begin(), key.end());
    contents.values.insert(contents.values.end(), value.begin(), value.end());
  }
  throw KernelError(EAGAIN, "BPF_MAP_GET_NEXT_KEY", info.name,
                    "the map changes faster than it can be listed");
}

}  // namespace forknet
