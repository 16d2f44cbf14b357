// The features of a network card, as ethtool(8) sets them, which is not installed everywhere.

import { execFileSync } from "node:child_process";
import type { Guest } from "../../dist/stand-in/guest.js";

/** ETHTOOL_STXCSUM, by SIOCETHTOOL. */
const PROGRAM = `
import ctypes, fcntl, socket, struct, sys
value = ctypes.create_string_buffer(struct.pack("II", 0x17, 0))
request = struct.pack("16sP", sys.argv[1].encode(), ctypes.addressof(value))
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
`;

/** `ethtool -K DEVICE tx off` in a guest: it completes the checksums of what it sends there. */
export function completeChecksums(guest: Guest, device: string): void {
  const inside = [`--net=/proc/${guest.pid}/ns/net`, "python3", "-c", PROGRAM, device];
  execFileSync("nsenter", inside);
}
