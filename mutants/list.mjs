// Promises broken on purpose: each mutant is one edit of the built code that takes a promise back, and the test that
// has to notice. An edit that no longer fits its file is an error, so that none goes stale unseen.

/**
 * @typedef {object} Mutant
 * @property {string} name
 * @property {string} promise what docs/reliability.md says
 * @property {string} file the built one; the source for a unit test
 * @property {string} from stands in the file exactly once
 * @property {string} to
 * @property {string} test under test/
 * @property {string} [title] of the tests to run; all of the file without it
 * @property {true} [short] also tried by `npm test`
 */

/** @type {Mutant[]} */
export const mutants = [
  {
    name: "slot forgets to undo its class",
    promise: "a failure half way leaves the kernel as it was",
    file: "dist/plans/slot.js",
    from: 'if (message.op === "class.htb" && !spec.class.exists) {',
    to: "if (false) {",
    test: "kernel/faults-steps.test.ts",
    short: true,
  },
  {
    name: "slot forgets to undo its TAP",
    promise: "a failure half way leaves the kernel as it was",
    file: "dist/plans/slot.js",
    from: "kernel.setTapPersistent(fd, true);\n        undo.pushMessage(",
    to: "kernel.setTapPersistent(fd, true);\n        void (",
    test: "kernel/faults-steps.test.ts",
  },
  {
    name: "reaper without the ownership check",
    promise: "what is not provably ours is never touched",
    file: "dist/plans/ownership.js",
    from: 'if (kind !== "tun" || !alias.startsWith(ALIAS_PREFIX))',
    to: 'if (kind !== "tun")',
    test: "kernel/reconcile.test.ts",
    title: "does not touch what is not provably ours",
    short: true,
  },
  {
    name: "release does not disarm",
    promise: "traffic stops when a release is asked for",
    file: "dist/guests/removal.js",
    from: "if (guest.ifindex !== 0)\n            leases.disarm(guest.ifindex);",
    to: "",
    test: "kernel/traffic-release.test.ts",
    title: "stops both directions at once",
  },
  {
    name: "address free before its TAP is gone",
    promise: "an identity is free only when its kernel objects are gone",
    file: "dist/guests/removal.js",
    from: 'guest.state = "releasing";\n        if (guest.ifindex !== 0)',
    to: 'guest.state = "releasing";\n        identities.releaseAddress(guest.lease);\n        if (guest.ifindex !== 0)',
    test: "kernel/lifecycle.test.ts",
    title: "is nobody else's until its TAP is gone",
  },
  {
    name: "a warm slot is not looked at",
    promise: "a slot that somebody deleted is never handed out",
    file: "dist/guests/slot-pool.js",
    from: "if (flags === undefined)",
    to: "if (false)",
    test: "kernel/pool-unfit.test.ts",
    title: "that was deleted is written off",
    short: true,
  },
  {
    name: "ports that are not isolated",
    promise: "guests of an isolated network exchange nothing",
    file: "dist/plans/port.js",
    from: "isolated: closed,",
    to: "isolated: false,",
    test: "kernel/isolation.test.ts",
    title: "exchange nothing on an isolated network",
  },
  {
    name: "adoption takes every lease for stale",
    promise: "a crash loses no guest",
    file: "dist/plans/adopt.js",
    from: "if (lease && present.has(ifindex))",
    to: "if (false)",
    test: "kernel/adoption.test.ts",
    title: "guests are back with identity",
  },
  {
    name: "standby leases without their checksum",
    promise: "a damaged store is noticed",
    file: "src/lease/standby-record.ts",
    from: "if (line.slice(0, 9) !==",
    to: "if (false && line.slice(0, 9) !==",
    test: "unit/standby-store.test.ts",
  },
  {
    name: "standby deletes the TAP before the lease is on disk",
    promise: "a full disk leaves the guest with its TAP",
    file: "dist/guests/removal.js",
    from: "await standby.put(guest.lease);",
    to: "void standby.put(guest.lease).catch(() => {});",
    test: "kernel/store-disk.test.ts",
  },
  {
    name: "a change of limits that is not sent",
    promise: "a limit is what the kernel enforces",
    file: "dist/plans/shape.js",
    from: "...tbfMessages(job, limits, verb),",
    to: "",
    test: "kernel/update-limits.test.ts",
    title: "are changed in place",
    short: true,
  },
  {
    name: "verify that never looks at port settings",
    promise: "what is not enforced is reported",
    file: "dist/plans/compare.js",
    from: "if (differing.length === 0)",
    to: "if (true)",
    test: "kernel/verify.test.ts",
  },
  {
    name: "a network that two processes open",
    promise: "one process holds a network",
    file: "dist/process-lock.js",
    from: "if (attempt.holder && trusted.has(attempt.holder.uid))",
    to: "if (false)",
    test: "kernel/lock.test.ts",
    title: "another state directory",
  },
  {
    name: "blocked guests that are never let go",
    promise:
      "with unshaped: block a guest passes frames when its limits are in place, and not before",
    file: "dist/guests/shaping.js",
    from: "const error = work.cancelled ? undefined : this.#classes.letPass(guest);",
    to: "const error = undefined;",
    test: "kernel/traffic-waiting.test.ts",
    title: "passes nothing in either direction",
  },
  {
    name: "a change of the inner identity that leaves the alias behind",
    promise: "a failure half way leaves the kernel as it was",
    file: "dist/guests/guest-change.js",
    from: "// The answer alone may be lost, and limits that were on their way bring an alias along.\n        await",
    to: "void 0 &&",
    test: "kernel/translate-faults.test.ts",
    title: "the answer is lost",
  },
  {
    name: "a released guest that a failed change of its inner identity arms again",
    promise: "traffic stops when a release is asked for",
    file: "dist/guests/guest-change.js",
    from: 'if (guest.state !== "active")\n            throw error;',
    to: "",
    test: "kernel/translate.test.ts",
    title: "armed again",
  },
  {
    name: "a slot that is not given away",
    promise: "the TAP of a guest with an owner opens for it and for nobody else",
    file: "dist/plans/rebind.js",
    from: "if (spec.owner)",
    to: "if (false)",
    test: "kernel/owner.test.ts",
    title: "takes a warm slot over",
  },
  {
    name: "a queue that somebody added before the TAP was given away",
    promise: "nobody had the TAP of a guest with an owner open before",
    file: "dist/plans/give.js",
    from: "if (multiQueue && !isAlone(kernel, ifindex, tapName))",
    to: "if (false)",
    test: "kernel/give.test.ts",
    title: "another queue in between",
  },
  {
    name: "an open slot that is handed out",
    promise: "a warm slot that a process opens is written off",
    file: "dist/guests/slot-pool.js",
    from: "if ((flags & IFF_RUNNING) === 0 || isYoung(slot))",
    to: "if (true)",
    test: "kernel/opened-slots.test.ts",
    title: "long after it was made",
  },
  {
    name: "a slot that was open for a moment",
    promise: "a warm slot that a process opens is written off",
    file: "dist/events/belongings.js",
    from: 'const isOpened = change.object === "link" && change.link?.opened;',
    to: "const isOpened = false;",
    test: "kernel/opened-slots.test.ts",
    title: "and closed at once",
  },
];
