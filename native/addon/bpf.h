// The addon's `bpf` member, as src/kernel/binding.ts types it.
#ifndef FORKNET_ADDON_BPF_H_
#define FORKNET_ADDON_BPF_H_

#include <napi.h>

namespace forknet {

Napi::Object MakeBpf(Napi::Env env);

}  // namespace forknet

#endif  // FORKNET_ADDON_BPF_H_
