// Descriptors that JavaScript holds as numbers, by the environment that closes them. A thread that
// dies between opening and closing one has nobody left who knows it, and a TAP that is open exists
// and is busy.
#ifndef FORKNET_ADDON_HELD_FDS_H_
#define FORKNET_ADDON_HELD_FDS_H_

#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "unique_fd.h"

namespace forknet {

/** One environment's; what it still has when it ends is closed. */
class HeldFds {
 public:
  HeldFds() = default;
  HeldFds(const HeldFds&) = delete;
  HeldFds& operator=(const HeldFds&) = delete;
  ~HeldFds() {
    std::vector<UniqueFd> fds;
    const std::lock_guard lock(mutex_);
    for (auto it = holders_.begin(); it != holders_.end();) {
      if (it->second != this) {
        ++it;
        continue;
      }
      fds.emplace_back(it->first);
      it = holders_.erase(it);
    }
  }

  /** From here on the number is JavaScript's. */
  void Hold(UniqueFd fd) {
    const std::lock_guard lock(mutex_);
    holders_[fd.get()] = this;
    fd.Release();
  }

  /** To be called before it is closed: another thread may open the same number at once. */
  static void Forget(int fd) {
    const std::lock_guard lock(mutex_);
    holders_.erase(fd);
  }

  /** Takes them from whoever has them; false, with nothing taken, when one is gone with its holder.
   */
  bool TakeOver(const std::vector<int>& fds) {
    const std::lock_guard lock(mutex_);
    const auto is_held = [](int fd) { return holders_.count(fd) != 0; };
    if (!std::all_of(fds.begin(), fds.end(), is_held)) return false;
    for (const int fd : fds) holders_[fd] = this;
    return true;
  }

 private:
  // The process's, as descriptors are: only so can one environment take what another opened.
  inline static std::mutex mutex_;
  inline static std::map<int, HeldFds*> holders_;
};

}  // namespace forknet

#endif  // FORKNET_ADDON_HELD_FDS_H_
