// The network namespace of the calling thread.
#ifndef FORKNET_NETNS_H_
#define FORKNET_NETNS_H_

#include <string>

namespace forknet {

/** Moves the calling thread into a new, empty network namespace. Throws KernelError. */
void UnshareNetwork();

/** Moves the calling thread into the namespace of a file such as /proc/PID/ns/net. Throws
 * KernelError. */
void EnterNetwork(const std::string& path);

}  // namespace forknet

#endif  // FORKNET_NETNS_H_
