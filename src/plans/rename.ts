// Renames of links that are up, which Linux refuses before 6.2 (dev_change_name says EBUSY): such a link is down while it
// takes its name. A TAP that is down for a moment keeps its qdiscs, its filters and its static entries.

import type { KernelFailure } from "../errors.js";
import { type DeviceName, EBUSY, type Kernel } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";

/** Sends messages as `kernel.talk` does, but takes a link down for a name that it is refused while it is up. */
export function talkRenaming(
  kernel: Kernel,
  messages: readonly Message[],
  device: DeviceName,
): (KernelFailure | null)[] {
  return kernel.talk(messages, device).map((failure, i) => {
    const message = messages[i];
    const isRename = message?.op === "link.set" && message.name !== undefined;
    if (!failure || !isRename || failure.errno !== EBUSY) return failure;
    const { op, ifindex } = message;
    const around: Message[] = [
      { op, ifindex, up: false },
      { ...message, up: true },
    ];
    const refused = kernel.talk(around, device).find((result) => result !== null) ?? null;
    if (refused) kernel.talk([{ op, ifindex, up: true }], device);
    return refused;
  });
}
