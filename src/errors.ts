// The one error class of the package, its codes, and how a refusal of the kernel becomes one.
// Workers send refusals as plain data (KernelFailure); only the main thread builds errors.

import { getSystemErrorName, inspect } from "node:util";

/** The stable codes; README, "Errors", says when each is thrown. */
export type ForknetErrorCode =
  | "ERR_FORKNET_CONFIG"
  | "ERR_FORKNET_NAME_EXISTS"
  | "ERR_FORKNET_ID_EXISTS"
  | "ERR_FORKNET_ADDRESS_IN_USE"
  | "ERR_FORKNET_NOT_FOUND"
  | "ERR_FORKNET_EXHAUSTED"
  | "ERR_FORKNET_PERMISSION"
  | "ERR_FORKNET_UNSUPPORTED"
  | "ERR_FORKNET_CONFLICT"
  | "ERR_FORKNET_KERNEL"
  | "ERR_FORKNET_CLOSED"
  | "ERR_FORKNET_ABORTED"
  | "ERR_FORKNET_ROLLBACK"
  | "ERR_FORKNET_WORKER";

/**
 * What the kernel (or a lane) said about one operation that failed, as data that crosses threads.
 */
export interface KernelFailure {
  /** Set when the failure is not the kernel's own refusal: the code the error gets. */
  code?: ForknetErrorCode;
  /** The operation and its object, "RTM_NEWTCLASS 1:a0" or "TUNSETIFF". */
  operation: string;
  /** The device it was about, "" when none. */
  device: string;
  /** Positive errno, 0 when there is none. */
  errno: number;
  /** The kernel's own words (extended ack or verifier log), "" when it gave none. */
  text: string;
  /** What could not be undone after the failure; empty when the kernel is as it was. */
  leftBehind: string[];
}

/** What a ForknetError carries beside its code and message. */
export interface ForknetErrorFields {
  errno?: number;
  errnoName?: string;
  syscall?: string;
  device?: string;
  kernelMessage?: string;
  leftBehind?: readonly string[];
  holderPid?: number;
  cause?: unknown;
}

/**
 * Every error forknet throws. Match on `code`; kernel refusals also carry `errno`, `errnoName`,
 * `syscall`, `device`.
 */
export class ForknetError extends Error {
  readonly code: ForknetErrorCode;
  // Declared, not defined: a field that does not apply is absent, also in what console.log shows.
  /** Negative, as in Node's own system errors. */
  declare readonly errno?: number;
  /** "EEXIST". */
  declare readonly errnoName?: string;
  /** The netlink message or system call that was refused. */
  declare readonly syscall?: string;
  declare readonly device?: string;
  declare readonly kernelMessage?: string;
  /** ERR_FORKNET_ROLLBACK: what the failed undo left in the kernel. */
  declare readonly leftBehind?: readonly string[];
  /** ERR_FORKNET_CONFLICT with another process: its pid. */
  declare readonly holderPid?: number;

  constructor(code: ForknetErrorCode, message: string, fields: ForknetErrorFields = {}) {
    const { cause, ...rest } = fields;
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ForknetError";
    this.code = code;
    Object.assign(this, rest);
  }
}

/** On one line: an array of more than six is broken into several. */
const SHORT = {
  breakLength: Number.POSITIVE_INFINITY,
  maxStringLength: 80,
  maxArrayLength: 5,
  depth: 1,
};

/** `Expected <what> for <option>, but received <value>`, thrown before anything changed. */
export function configError(option: string, expected: string, received: unknown): ForknetError {
  const shown = inspect(received, SHORT);
  return new ForknetError(
    "ERR_FORKNET_CONFIG",
    `Expected ${expected} for ${option}, but received ${shown}`,
  );
}

const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;
const ENODEV = 19;
const EROFS = 30;
/** The bridge has BR_MAX_PORTS (1 << 10) minus one ports: net/bridge/br_if.c, find_portno. */
const EXFULL = 54;
const EOPNOTSUPP = 95;
export const BRIDGE_PORTS = 1023;
/** What to do about a container whose /proc/sys is read-only. */
export const READ_ONLY_SYSCTLS =
  "/proc/sys is read-only here: run `mount -o remount,rw /proc/sys`, or start the container with it writable " +
  "(docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=/proc/sys, " +
  "ProtectKernelTunables=no in a systemd unit)";
/** MAX_ERRNO of the kernel. */
const LARGEST_ERRNO = 4095;

/**
 * "EEXIST" for 17, as Linux calls it; "errno 999" for a number the C library does not know, or that
 * is none.
 */
export function errnoName(errno: number): string {
  // Node throws for what is not a negative 32-bit integer, -0 included.
  if (!Number.isInteger(errno) || errno <= 0 || errno > LARGEST_ERRNO) return `errno ${errno}`;
  // libuv says ENOTSUP for 95, which on Linux is the other name, and does not know EXFULL.
  if (errno === EOPNOTSUPP) return "EOPNOTSUPP";
  if (errno === EXFULL) return "EXFULL";
  const name = getSystemErrorName(-errno);
  // libuv's words for a number it does not know are "Unknown system error -999".
  return name.startsWith("E") ? name : `errno ${errno}`;
}

/** Builds the error for a failure reported by a worker. */
export function errorFromFailure(failure: KernelFailure): ForknetError {
  const { operation, device, errno, text } = failure;
  const name = errno ? errnoName(errno) : "";
  const where = device ? ` on ${device}` : "";
  const words = text ? ` (${text})` : "";
  const said = errno ? `${operation}${where}: ${name}${words}` : `${operation}${where}${words}`;
  const fields: ForknetErrorFields = {};
  if (errno) Object.assign(fields, { errno: -errno, errnoName: name });
  if (operation) fields.syscall = operation.split(" ")[0] as string;
  if (device) fields.device = device;
  if (text) fields.kernelMessage = text;
  if (failure.leftBehind.length > 0) {
    const left = failure.leftBehind;
    const message = `${said}; undoing it failed too, left behind: ${left.join(", ")}`;
    return new ForknetError("ERR_FORKNET_ROLLBACK", message, { ...fields, leftBehind: left });
  }
  const [code, message] = classify(failure, said);
  return new ForknetError(code, message, fields);
}

function classify(failure: KernelFailure, said: string): [ForknetErrorCode, string] {
  const { operation, device, errno, text } = failure;
  if (failure.code) return [failure.code, text || said];
  const isTun = operation.startsWith("TUN") || operation.includes("/dev/net/tun");
  if (isTun && (errno === ENOENT || errno === ENODEV)) {
    return [
      "ERR_FORKNET_PERMISSION",
      `${said}: /dev/net/tun is missing (modprobe tun, or give the container the device)`,
    ];
  }
  if (errno === EROFS && operation.includes("/proc/sys"))
    return ["ERR_FORKNET_PERMISSION", `${said}: ${READ_ONLY_SYSCTLS}`];
  if (errno === EPERM || errno === EACCES) {
    const needs = operation.startsWith("BPF") ? "CAP_BPF and CAP_NET_ADMIN" : "CAP_NET_ADMIN";
    return [
      "ERR_FORKNET_PERMISSION",
      `${said}: this needs ${isTun ? `${needs} and /dev/net/tun` : needs}`,
    ];
  }
  if (errno === EXFULL) {
    return ["ERR_FORKNET_EXHAUSTED", `bridge ${device} is full (${BRIDGE_PORTS} ports)`];
  }
  // ENOENT is both "no such parent" and "no such kind"; only the kernel's words tell which.
  if (errno === EOPNOTSUPP || (errno === ENOENT && /kind is unknown|classifier/i.test(text))) {
    return ["ERR_FORKNET_UNSUPPORTED", `${said}: the kernel lacks this feature`];
  }
  return ["ERR_FORKNET_KERNEL", said];
}

/** The error for a call that failed with `error`, and whose undo failed, too; keeps its fields. */
export function rollbackError(error: ForknetError, left: string): ForknetError {
  const { name: _, code: __, ...fields } = error;
  const text = `${error.message}; undoing it failed too, left behind: ${left}`;
  const leftBehind = [...(error.leftBehind ?? []), left];
  return new ForknetError("ERR_FORKNET_ROLLBACK", text, { ...fields, leftBehind, cause: error });
}

/** True when a step failed and so did its undo: something may be left in the kernel. */
export function isRollback(error: unknown): boolean {
  return (error as ForknetError).code === "ERR_FORKNET_ROLLBACK";
}
