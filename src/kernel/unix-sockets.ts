// The part of the addon's exports that is about locks and unix sockets. Types only.

/** SO_PEERCRED: who listened or connected, as this process's namespaces show them. */
export interface Peer {
  /** 0: in another pid namespace. */
  pid: number;
  /** Its effective uid at that time; the overflow uid, 65534, in another user namespace. */
  uid: number;
}

export interface UnixSockets {
  /**
   * Binds and listens on an abstract unix stream socket. When it is held: by whom, undefined when
   * that process does not listen, is too busy or just went away.
   */
  lockAbstract(name: string): { fd: number } | { holder: Peer | undefined };
  /**
   * Connects to who listens at a name or a path, non-blocking, and says who that is; the caller owns
   * `fd`. ECONNREFUSED: nobody listens. EAGAIN: too many wait to be served.
   */
  connectAbstract(name: string): Peer & { fd: number };
  connectPath(path: string): Peer & { fd: number };
  /** Makes a socket (0600) at a path of at most 107 bytes and listens there; the caller owns it. */
  listenPath(path: string): number;
  /** Who is at the other end of a connected unix socket. */
  peerOf(fd: number): Peer;
  /** flock(LOCK_EX | LOCK_NB): false when another open file has it. */
  lockFile(fd: number): boolean;
}
