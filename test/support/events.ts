// What the package publishes on diagnostics channels, as a test hears it.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { onTestFinished } from "vitest";
import type { Events } from "../../dist/index.js";

/** What is published on a channel until the test ends. */
export function published<Name extends keyof Events>(channel: Name): Events[Name][] {
  const messages: Events[Name][] = [];
  const listen = (message: unknown) => void messages.push(message as Events[Name]);
  subscribe(channel, listen);
  onTestFinished(() => void unsubscribe(channel, listen));
  return messages;
}
