// What a stand-in guest can be asked to do, and the messages that carry it between the two
// processes. Plain data that survives JSON: services stay in the guest and are named by a number.

import type { Refusal } from "../kernel/binding.js";
import type { Message } from "../kernel/messages.js";
import type { FlowReport } from "./tcp-flow.js";
import type {
  TcpReceiveOptions,
  TcpSendOptions,
  TcpServiceOptions,
  TcpTarget,
} from "./tcp-service.js";
import type {
  UdpEchoOptions,
  UdpReport,
  UdpSendOptions,
  UdpSendReport,
  UdpServiceOptions,
} from "./udp-service.js";

/**
 * Which TAP a guest takes and who it says it is. The fields are those of an allocation, so one can
 * be passed as it is.
 */
export interface GuestOptions {
  tap: string;
  mac: string;
  ip: string;
  prefixLength: number;
  /** Default route. None when absent. */
  gateway?: string;
  /**
   * Open the TAP with a virtio header and with segmentation and checksum offload, as a VMM does.
   * Default true.
   */
  vnetHdr?: boolean;
  /** Must be as the TAP was created. Default false. */
  multiQueue?: boolean;
}

const START_KEYS = [
  "tap",
  "mac",
  "ip",
  "prefixLength",
  "gateway",
  "vnetHdr",
  "multiQueue",
] as const satisfies readonly (keyof GuestOptions)[];

/** What crosses to the guest: an allocation has more, and not all of it survives the way. */
export function toStartOptions(options: GuestOptions): GuestOptions {
  const given = START_KEYS.filter((key) => options[key] !== undefined);
  return Object.fromEntries(given.map((key) => [key, options[key]])) as unknown as GuestOptions;
}

/** A service in the guest: `service` names it in later commands. */
export interface ServiceInfo {
  service: number;
  port: number;
}

/** The commands of a guest: what it is asked, and what it answers. */
export interface GuestCommands {
  serveTcp(options: TcpServiceOptions): Promise<ServiceInfo>;
  nextTcpReport(options: { service: number }): Promise<FlowReport>;
  sendTcp(options: TcpSendOptions): Promise<FlowReport>;
  receiveTcp(options: TcpReceiveOptions): Promise<FlowReport>;
  probeTcp(options: TcpTarget): Promise<string>;
  listenUdp(options: UdpServiceOptions): Promise<ServiceInfo>;
  udpReport(options: { service: number }): Promise<UdpReport>;
  sendUdp(options: UdpSendOptions): Promise<UdpSendReport>;
  echoUdp(options: UdpEchoOptions): Promise<number | null>;
  closeService(options: { service: number }): Promise<void>;
  talk(options: { messages: Message[] }): Promise<(Refusal | null)[]>;
}

export type CommandName = keyof GuestCommands;
export type CommandOptions<Name extends CommandName> = Parameters<GuestCommands[Name]>[0];
export type CommandResult<Name extends CommandName> = Awaited<ReturnType<GuestCommands[Name]>>;

/** Towards the guest. `start` comes first, once. */
export type ToGuest =
  | { type: "start"; options: GuestOptions }
  | { type: "command"; id: number; name: CommandName; options: unknown };

/** An error as data: a class does not survive the way. */
export interface ErrorData {
  message: string;
  code?: string;
}

/**
 * From the guest. `started` or `refused` answers `start`; `unplugged` tells that its TAP is gone.
 */
export type FromGuest =
  | { type: "started"; ifindex: number }
  | { type: "refused"; error: ErrorData }
  | { type: "result"; id: number; value: unknown }
  | { type: "error"; id: number; error: ErrorData }
  | { type: "unplugged" };

/** The message and, where Node gave one, the code. */
export function toErrorData(error: unknown): ErrorData {
  const { message, code } = error as NodeJS.ErrnoException;
  return { message: message ?? String(error), ...(code !== undefined && { code: String(code) }) };
}
