// What the addon-*.test.ts files share: one socket per test, and an empty namespace after each.
// The namespace itself, and the check that nothing stays, are test/support/kernel-setup.ts.
import { afterEach, beforeEach, expect } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { LinkInfo, Netlink, Refusal, TapOptions } from "../../src/kernel/binding.js";
import type { Message } from "../../src/kernel/messages.js";

export const addon = loadAddon();
export const LOOPBACK = 1;
export const ROOT = 0xffffffff;

/** errno values as the kernel refuses with. */
export const ENOENT = 2;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;

const open: number[] = [];

/** A socket for each test; links and descriptors of kept() go when the test ends. */
export function useNetlink(): () => Netlink {
  let netlink: Netlink;
  beforeEach(() => {
    netlink = new addon.Netlink();
  });
  afterEach(() => {
    for (const fd of open.splice(0)) addon.closeFd(fd);
    for (const { ifindex } of netlink.links()) {
      if (ifindex !== LOOPBACK) netlink.talk([{ op: "link.delete", ifindex }]);
    }
    netlink.close();
  });
  return () => netlink;
}

/** Closes the object's descriptor when the test ends. */
export function kept<T extends { fd: number }>(object: T): T {
  open.push(object.fd);
  return object;
}

export function openTap(options: TapOptions) {
  return kept(addon.openTap(options));
}

/** Sends and expects every message to be accepted. */
export function must(netlink: Netlink, ...messages: Message[]): void {
  expect(netlink.talk(messages)).toEqual(messages.map(() => null));
}

/** Sends one message and expects a refusal. */
export function refused(netlink: Netlink, message: Message): Refusal {
  const [answer] = netlink.talk([message]);
  if (!answer) throw new Error(`${message.op} was accepted`);
  return answer;
}

export function linkNamed(netlink: Netlink, name: string): LinkInfo {
  const link = netlink.link({ name });
  if (!link) throw new Error(`there is no link ${name}`);
  return link;
}

/** Makes the link and returns its ifindex. */
export function makeLink(netlink: Netlink, kind: "bridge" | "ifb", name: string): number {
  must(netlink, { op: "link.create", name, kind });
  return linkNamed(netlink, name).ifindex;
}

/** What `run` throws, or a failure. */
export function thrown(
  run: () => unknown,
): Error & { code?: string; errno?: number; syscall?: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("nothing was thrown");
}
