// The addon as it is built here: the compiler's and the linker's protections are on, whatever the
// distribution's defaults are. test/kernel/package.test.ts has the same for the published ones.

import { expect, test } from "vitest";
import { HARDENED, hardeningOf } from "../support/elf.js";
import { binaryPath } from "./addon-binary.js";

test("the addon has RELRO, BIND_NOW, canaries, checked calls and no executable stack", () => {
  expect(hardeningOf(binaryPath())).toEqual(HARDENED);
});
