// A cable between two TAPs: what one sends, the other receives.
#ifndef FORKNET_WIRE_H_
#define FORKNET_WIRE_H_

#include <optional>

namespace forknet {

/**
 * Copies frames both ways, virtio header included, so both ends must have the same header setting.
 * Blocks until an end is gone (its device deleted) or `stop_fd` becomes readable. A frame that the
 * other end cannot take is lost, as on a cable. Throws KernelError when an fd cannot be used at
 * all.
 */
void Wire(int fd_a, int fd_b, std::optional<int> stop_fd);

}  // namespace forknet

#endif  // FORKNET_WIRE_H_
