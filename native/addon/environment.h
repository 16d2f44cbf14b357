// What one environment (main thread or worker) keeps between calls.
#ifndef FORKNET_ADDON_ENVIRONMENT_H_
#define FORKNET_ADDON_ENVIRONMENT_H_

#include <napi.h>

#include "addon/held_fds.h"
#include "link_lookup.h"

namespace forknet {

struct Environment {
  HeldFds fds;
  /** Of the network namespace the thread is in: it has to be renewed when the thread moves. */
  LookupSocket lookup;

  static Environment& Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
};

}  // namespace forknet

#endif  // FORKNET_ADDON_ENVIRONMENT_H_
