// A process that is somebody: it takes the ids that its parent says, and with them loses every capability. Then it opens
// TAPs, sends and reads frames, as it is told over IPC. Plain JavaScript; the parent's side is tap-opener.ts.

import { readSync, writeSync } from "node:fs";
import { loadAddon } from "../../dist/kernel/addon.js";

const VNET_HEADER_BYTES = 10;
// Loaded while it may be read: a checkout may be for its owner only.
const addon = loadAddon();
const buffer = Buffer.alloc(65_536);
const fds = [];

const commands = {
  become({ uid, gid = uid, groups = [] }) {
    process.setgroups(groups);
    process.setgid(gid);
    process.setuid(uid);
  },
  open(options) {
    const { fd, ifindex } = addon.openTap({ vnetHdr: true, nonBlocking: true, ...options });
    fds.push(fd);
    return ifindex;
  },
  close() {
    for (const fd of fds.splice(0)) addon.closeFd(fd);
  },
  send(frame) {
    const bytes = Buffer.from(frame, "hex");
    writeSync(fds.at(-1), Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), bytes]));
  },
  /** What is there already. */
  read() {
    const frames = [];
    for (;;) {
      try {
        const bytes = readSync(fds.at(-1), buffer);
        frames.push(buffer.toString("hex", VNET_HEADER_BYTES, bytes));
      } catch (error) {
        if (error.code === "EAGAIN") return frames;
        throw error;
      }
    }
  },
};

process.on("message", ({ command, argument }) => {
  try {
    process.send({ value: commands[command](argument) });
  } catch ({ code, message }) {
    process.send({ error: { code, message } });
  }
});
