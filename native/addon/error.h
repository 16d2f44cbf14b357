// C++ exceptions become JavaScript errors here, shaped like Node's own: `code`, `errno`, `syscall`.
#ifndef FORKNET_ADDON_ERROR_H_
#define FORKNET_ADDON_ERROR_H_

#include <napi.h>

#include <stdexcept>

#include "netlink/kernel_error.h"

namespace forknet {

/** "EBUSY", -16, "TUNSETIFF". */
Napi::Error ToJs(Napi::Env env, const KernelError& error);

/** Runs `work` and rethrows what it throws as a JavaScript error. */
template <class Work>
auto Guarded(Napi::Env env, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const KernelError& error) {
    throw ToJs(env, error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

}  // namespace forknet

#endif  // FORKNET_ADDON_ERROR_H_
