// The faulty kernel for the lanes' workers, which moreover gives no other name to a link that is up, as Linux before 6.2.

import { describe } from "../../dist/kernel/describe.js";
import { createKernel as createFaulty } from "./faulty-kernel.mjs";

const EBUSY = 16;

export function createKernel() {
  const kernel = createFaulty();
  const isRefused = ({ op, ifindex, name }) =>
    op === "link.set" && name !== undefined && kernel.link({ ifindex })?.up;
  return {
    ...kernel,
    // A message at a time: whether a link is up is decided by the one before.
    talk: (messages, device) =>
      messages.map((message) => {
        if (!isRefused(message)) return kernel.talk([message], device)[0] ?? null;
        const on = typeof device === "string" ? device : device(message);
        return { operation: describe(message), device: on, errno: EBUSY, text: "", leftBehind: [] };
      }),
  };
}
