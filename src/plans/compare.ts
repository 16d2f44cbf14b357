// Holds messages against what is in the kernel: the one comparison behind verify and reconcile.
// What differs is told together with the messages that put it right.

import { INGRESS } from "../facts.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { BpfFilter } from "../kernel/bpf-filter.js";
import { NUD_NOARP, NUD_PERMANENT } from "../kernel/kernel.js";
import type { FilterBpf, LinkSet, Message, PortSet } from "../kernel/messages.js";
import { compareClass, compareLeaf, compareTbf, compareTree } from "./compare-limits.js";
import { isCondemned } from "./condemned.js";
import { isOurPlace, programIdOf } from "./expected.js";
import { type Finding, finding } from "./finding.js";
import { forwardMessages, silenceOf } from "./forwarding.js";
import type { Found } from "./found.js";

/** What a device lacks of what these messages would give it. Throws Refused. */
export function compare(found: Found, messages: readonly Message[]): Finding[] {
  return messages.flatMap((message) => compareOne(found, message));
}

function compareOne(found: Found, message: Message): Finding[] {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- a deletion has nothing to compare
  switch (message.op) {
    case "link.set":
      return compareLink(found, message);
    case "port.set":
      return comparePort(found, message);
    case "fdb.add":
      return compareForwarding(found, message);
    case "neighbor.set":
      return compareNeighbor(found, message);
    case "qdisc.clsact":
      return compareClsact(found, message);
    case "filter.bpf":
      return compareFilter(found, message);
    case "qdisc.tbf":
      return message.parent === undefined
        ? compareTbf(found, message)
        : compareLeaf(found, message, message.parent);
    case "qdisc.htb":
      return compareTree(found, message);
    case "class.htb":
      return compareClass(found, message);
    case "qdisc.blackhole":
      return compareLeaf(found, message, message.parent);
    default:
      throw new Error(`Expected a message that can be compared, but received ${message.op}`);
  }
}

function compareLink(found: Found, message: LinkSet): Finding[] {
  const { op, ifindex } = message;
  const link = found.links.get(ifindex) as LinkInfo;
  const fields = ["name", "alias", "master", "mac", "mtu", "up", "sendRedirects"] as const;
  const differing = fields.filter((key) => key in message && message[key] !== link[key]);
  const findings = differing.map((key) =>
    finding(key, message[key], link[key], [{ op, ifindex, [key]: message[key] }]),
  );
  // Other groups are the operator's business.
  const { bridge } = found.facts;
  if (message.group !== undefined && isCondemned(link.group, bridge.ifindex)) {
    findings.push(finding("group", message.group, link.group, [message]));
  }
  return findings;
}

function comparePort(found: Found, message: PortSet): Finding[] {
  const { op: _, ifindex, ...wanted } = message;
  const link = found.links.get(ifindex) as LinkInfo;
  const { port } = link;
  const keys = Object.keys(wanted) as (keyof typeof wanted)[];
  const differing = keys.filter((key) => port?.[key] !== wanted[key]);
  const text = (of: typeof wanted) => differing.map((key) => `${key} ${of[key]}`).join(", ");
  return [
    ...(differing.length > 0 ? [finding("port", text(wanted), port && text(port), [message])] : []),
    ...comparePortState(found, link),
  ];
}

/** Where STP runs the state is not the network's to set: survey.ts tells it as a warning. */
function comparePortState({ links, facts }: Found, link: LinkInfo): Finding[] {
  const bridge = links.get(facts.bridge.ifindex);
  const state = bridge && silenceOf(link, bridge);
  const repair = bridge ? forwardMessages(link, bridge) : [];
  return state && repair.length > 0 ? [finding("port-state", "forwarding", state, repair)] : [];
}

/** NLM_F_EXCL refuses a MAC that is on another port: there it has to go first, if that is ours. */
function compareForwarding(
  found: Found,
  message: Extract<Message, { op: "fdb.add" | "fdb.delete" }>,
): Finding[] {
  const { ifindex, mac } = message;
  const entries = found.forwarding(mac);
  if (entries.some((entry) => entry.ifindex === ifindex && entry.state & NUD_NOARP)) return [];
  const [other] = entries;
  const isOnOwnPort = other && (other.ifindex === ifindex || found.isOwn(other.ifindex));
  const repair: Message[] = isOnOwnPort
    ? [{ op: "fdb.delete", ifindex: other.ifindex, mac }, message]
    : [message];
  return [finding("fdb", `static on ${ifindex}`, other && `on ${other.ifindex}`, repair)];
}

function compareNeighbor(
  found: Found,
  message: Extract<Message, { op: "neighbor.set" }>,
): Finding[] {
  const entry = found.neighbors.get(message.ip);
  if (entry && entry.mac === message.mac && entry.state & NUD_PERMANENT) return [];
  const text = entry && `${entry.mac.toString(16)}, state ${entry.state}`;
  return [finding("neighbor", `${message.mac.toString(16)}, permanent`, text, [message])];
}

const CLSACT = 0xffff_fff1;

function compareClsact(found: Found, message: Extract<Message, { op: "qdisc.clsact" }>): Finding[] {
  const { ifindex } = message;
  const hook = found.qdisc(ifindex, CLSACT);
  if (hook?.kind === "clsact") return [];
  const away: Message[] = hook ? [{ op: "qdisc.delete", ifindex, parent: CLSACT }] : [];
  return [finding("clsact", "clsact", hook?.kind, [...away, message])];
}

function compareFilter(found: Found, message: FilterBpf): Finding[] {
  const { ifindex, parent, name, redirectTo } = message;
  const own = found.filters(ifindex, parent).find(isOurPlace)?.bpf;
  const wanted = programIdOf(found.facts, name);
  const isDirect = redirectTo === undefined;
  const isSame = own?.directAction === isDirect && own.redirectTo === redirectTo;
  if (own?.programId === wanted && isSame) return [];
  const what = name.slice("forknet-".length);
  const at = parent === INGRESS ? "ingress" : "egress";
  const place = what === "classify" ? "" : ` at ${at}`;
  const expected = `program ${wanted}${place}${isDirect ? "" : `, redirect to ${redirectTo}`}`;
  const text = own && `program ${own.programId}${isSame ? "" : `, ${describeAction(own)}`}`;
  return [finding(what, expected, text, [{ ...message, verb: "replace" }])];
}

function describeAction({ directAction, redirectTo }: BpfFilter): string {
  if (directAction) return "direct-action";
  return redirectTo === undefined ? "not direct-action" : `redirect to ${redirectTo}`;
}
