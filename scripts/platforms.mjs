// The platforms that prebuilt addons exist for: how each is compiled, and the package that carries it.
// src/kernel/addon.ts composes the same package name from the running process.

/** @typedef {{ arch: string, machine: number, compiler: string, strip: string }} Platform */

/** `machine` is the ELF header's e_machine; `compiler` and `strip` are Debian's names for the target's tools. */
export const platforms = [
  platform("x64", 62, "x86_64-linux-gnu"),
  platform("arm64", 183, "aarch64-linux-gnu"),
];

/** @returns {Platform} */
function platform(arch, machine, triple) {
  return { arch, machine, compiler: `${triple}-g++`, strip: `${triple}-strip` };
}

/** "@forknet/linux-x64-gnu" */
export function packageName({ arch }) {
  return `@forknet/linux-${arch}-gnu`;
}
