// Unix stream sockets by abstract name or path, and who is at the other end.
#ifndef FORKNET_UNIX_SOCKET_H_
#define FORKNET_UNIX_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "unique_fd.h"

namespace forknet {

/** sun_path less its leading or closing NUL. */
constexpr size_t kMaxSocketNameBytes = 107;

/** SO_PEERCRED: who listened or connected, as this process's namespaces show them. */
struct Peer {
  /** 0: in another pid namespace. */
  pid_t pid = 0;
  uid_t uid = 0;
};

/** A connection and who listens at its other end. */
struct Connection {
  UniqueFd fd;
  Peer peer;
};

/**
 * Binds an abstract name, 1 to 107 bytes, and listens on it. The name belongs to the network
 * namespace. Throws KernelError.
 */
UniqueFd ListenAbstract(const std::string& name);

/**
 * Makes a socket of this path, at most 107 bytes, that only its owner may connect to, and listens
 * on it. Throws KernelError, EADDRINUSE for a path that is there.
 */
UniqueFd ListenPath(const std::string& path);

/**
 * Connects without waiting for anybody: the listener's backlog has room or it is EAGAIN. Throws
 * KernelError, ECONNREFUSED when nobody listens.
 */
Connection ConnectAbstract(const std::string& name);
Connection ConnectPath(const std::string& path);

/** The other end of a connected socket. Throws KernelError. */
Peer PeerOf(int fd);

}  // namespace forknet

#endif  // FORKNET_UNIX_SOCKET_H_
