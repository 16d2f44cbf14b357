// BPF maps by descriptor: create, read, write, list, find by id. Refusals are thrown as
// KernelError. Knows nothing of what lies in a map (layout.h does).
#ifndef FORKNET_BPF_MAP_H_
#define FORKNET_BPF_MAP_H_

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bytes.h"
#include "unique_fd.h"

namespace forknet {

struct MapSpec {
  std::string name;  // At most 15 characters.
  bpf_map_type type = BPF_MAP_TYPE_UNSPEC;
  uint32_t key_bytes = 0;
  uint32_t value_bytes = 0;
  uint32_t max_entries = 0;
  bool no_prealloc = false;
};

struct MapInfo {
  uint32_t id = 0;
  uint32_t type = 0;
  uint32_t key_bytes = 0;
  uint32_t value_bytes = 0;
  uint32_t max_entries = 0;
  std::string name;
};

/** Keys and values lie one behind the other, `count` of each. */
struct MapContents {
  size_t count = 0;
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
};

UniqueFd CreateMap(const MapSpec& spec);
UniqueFd OpenMapById(uint32_t id);
MapInfo DescribeMap(int fd);

/** num_possible_cpus() of the kernel: how many values one entry of a per-CPU map has. */
uint32_t PossibleCpus();

// The calls below serve the types that BpfMapOptions names. They throw EINVAL, before they touch
// the map, on any other type and on a length that is not the map's own: bpf(2) takes bare pointers
// and would read or write past them. The value of a per-CPU map is all possible CPUs' values, each
// rounded up to 8 bytes.
//
// They ask the kernel for the lengths each time (0.2 us). A cache by descriptor would go stale when
// the number is closed and used again.

/** False when there is no such key. */
bool GetMapValue(int fd, Bytes key, uint8_t* value, size_t value_bytes);
void SetMapValue(int fd, Bytes key, Bytes value);
/** False when there is no such key. */
bool DeleteMapValue(int fd, Bytes key);

/**
 * Every entry that lies in the map from start to end of the call, once. One that comes or goes
 * meanwhile may be missing.
 */
MapContents ListMap(int fd, size_t key_bytes, size_t value_bytes);
/** What ListMap falls back to where the kernel has no batches: two system calls an entry. */
MapContents ListMapByKey(int fd, size_t key_bytes, size_t value_bytes);

}  // namespace forknet

#endif  // FORKNET_BPF_MAP_H_
