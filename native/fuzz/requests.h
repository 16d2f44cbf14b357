// Requests of every kind with any fields that the addon's checks let through.
#ifndef FORKNET_FUZZ_REQUESTS_H_
#define FORKNET_FUZZ_REQUESTS_H_

#include <fuzzer/FuzzedDataProvider.h>

#include "request.h"

namespace forknet {

Request MakeRequest(FuzzedDataProvider* input);

}  // namespace forknet

#endif  // FORKNET_FUZZ_REQUESTS_H_
