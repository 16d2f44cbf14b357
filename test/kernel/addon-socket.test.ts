// The socket itself: closing, forged datagrams, lost acks, time-outs, and descriptors.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { addon, LOOPBACK, must, thrown, useNetlink } from "./addon-fixture.js";

const netlink = useNetlink();
const openFiles = () => readdirSync("/proc/self/fd").length;

/** False, too, for the directory that was open while it was listed. */
function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}

/** Port numbers of this namespace's NETLINK_ROUTE sockets. */
function ports(): number[] {
  return readFileSync("/proc/net/netlink", "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, protocol, port]) => protocol === "0" && port !== "0")
    .map(([, , port]) => Number(port));
}

/**
 * Sends refusals (EPERM) that look like the kernel's to a socket, from another process: one for
 * each sequence number, and then, if asked to, as many as the socket's buffer takes.
 */
function forge(port: number, sequences: number, fill: boolean): void {
  const script = `
import socket, struct, sys
port, sequences, fill = map(int, sys.argv[1:])
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
def refuse(sequence, padding):
    body = struct.pack("=i", -1) + struct.pack("=IHHII", 32, 16, 5, sequence, port) + bytes(padding)
    s.sendto(struct.pack("=IHHII", 16 + len(body), 2, 0, sequence, port) + body, (port, 0))
for sequence in range(1, sequences + 1):
    refuse(sequence, 0)
# Large ones first; small ones for the room that is left then, which an ack would fit into.
for padding in (4000, 0) if fill else ():
    try:
        while True:
            refuse(1, padding)
    except BlockingIOError:
        pass
`;
  execFileSync("python3", ["-c", script, String(port), String(sequences), fill ? "1" : "0"]);
}

function socketWithPort(receiveTimeoutMs: number) {
  const before = new Set(ports());
  const socket = new addon.Netlink({ receiveTimeoutMs });
  const [port] = ports().filter((one) => !before.has(one));
  if (port === undefined) throw new Error("the new socket is not listed");
  return { socket, port };
}

describe("closing", () => {
  it("is final, and once is as good as twice", () => {
    const socket = new addon.Netlink();
    socket.close();
    socket.close();
    expect(thrown(() => socket.talk([]))).toMatchObject({ code: "EBADF" });
    expect(thrown(() => socket.links())).toMatchObject({ code: "EBADF" });
    expect(thrown(() => socket.link({ name: "lo" }))).toMatchObject({ code: "EBADF" });
  });

  it("gives the descriptor back", () => {
    const before = openFiles();
    for (let i = 0; i < 200; i++) {
      const socket = new addon.Netlink();
      must(socket, { op: "link.set", ifindex: LOOPBACK });
      socket.links();
      thrown(() => socket.addresses(0x7fffffff));
      socket.close();
    }
    expect(openFiles()).toBe(before);
  });

  it("opens close-on-exec", () => {
    const O_CLOEXEC = 0o2000000;
    const sockets = () => readdirSync("/proc/self/fd").filter((fd) => isSocket(fd));
    const before = new Set(sockets());
    const socket = new addon.Netlink();
    const [fd] = sockets().filter((one) => !before.has(one));
    const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    socket.close();
    expect(Number.parseInt(flags ?? "0", 8) & O_CLOEXEC).toBe(O_CLOEXEC);
  });
});

describe("datagrams that are not the kernel's", () => {
  it("answer nothing", () => {
    const { socket, port } = socketWithPort(5000);
    forge(port, 20, false);
    must(socket, { op: "link.set", ifindex: LOOPBACK }, { op: "link.set", ifindex: LOOPBACK });
    forge(port, 20, false);
    expect(socket.links().map(({ name }) => name)).toContain("lo");
    socket.close();
  });

  it("can drown an ack, which ends in ETIMEDOUT or ENOBUFS; the socket works on", () => {
    const { socket, port } = socketWithPort(100);
    forge(port, 0, true);
    const lost = thrown(() => socket.talk([{ op: "link.set", ifindex: LOOPBACK }]));
    expect(lost).toMatchObject({
      code: expect.stringMatching(/^(ETIMEDOUT|ENOBUFS)$/),
      syscall: "recvmsg",
    });
    must(socket, { op: "link.set", ifindex: LOOPBACK });
    expect(socket.link({ ifindex: LOOPBACK })?.name).toBe("lo");
    expect(socket.links().map(({ name }) => name)).toContain("lo");
    expect(netlink().links()).toEqual(socket.links());
    socket.close();
  });
});
