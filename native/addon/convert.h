// A message of src/kernel/messages.ts to the structure of the plain C++.
#ifndef FORKNET_ADDON_CONVERT_H_
#define FORKNET_ADDON_CONVERT_H_

#include <napi.h>

#include <vector>

#include "addon/fields.h"
#include "request.h"

namespace forknet {

/** Throws a TypeError for the first message that is malformed. */
std::vector<Request> ToRequests(Napi::Value messages);

/** The traffic-control half of the operations; nullopt when `op` is none of them. */
std::optional<Request> ToTcRequest(const std::string& op, const Fields& fields);

}  // namespace forknet

#endif  // FORKNET_ADDON_CONVERT_H_
