// How a plan makes a link of its own, so that no failure leaves it behind.

import type { LinkInfo } from "../kernel/binding.js";
import { ENODEV, type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { LinkCreate } from "../kernel/messages.js";
import type { Undo } from "./undo.js";

/** `ip link add`, with its way back noted. Throws Refused, EEXIST when the name is taken. */
export function createLink(
  kernel: Kernel,
  message: LinkCreate,
  what: string,
  undo: Undo,
): LinkInfo {
  const { name } = message;
  const noteUndo = () => undo.push(`${what} ${name}`, () => deleteLink(kernel, name));
  let answer: ReturnType<Kernel["talk"]>[number] | undefined;
  try {
    [answer] = kernel.talk([message], name);
  } catch (error) {
    // The answer was lost: the link may be there.
    noteUndo();
    throw error;
  }
  if (answer) throw new Refused(answer);
  noteUndo();
  const link = kernel.link({ name });
  if (link) return link;
  throw new Refused({
    operation: "RTM_GETLINK",
    device: name,
    errno: ENODEV,
    text: "",
    leftBehind: [],
  });
}

function deleteLink(kernel: Kernel, name: string): void {
  const link = kernel.link({ name });
  if (link) mustTalk(kernel, [{ op: "link.delete", ifindex: link.ifindex }], name);
}
