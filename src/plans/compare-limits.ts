// The part of compare.ts about rates and queues: TBF, the shaper's tree, classes and their leaves.

import { HTB_ROOT } from "../facts.js";
import { formatClass } from "../identity/class-pool.js";
import type { ClassInfo } from "../kernel/binding.js";
import type {
  ClassHtb,
  Message,
  QdiscBlackhole,
  QdiscHtb,
  QdiscTbf,
  TcHandle,
} from "../kernel/messages.js";
import { isLeafRight, isSameBucket } from "../limits.js";
import { type Finding, finding } from "./finding.js";
import type { Found } from "./found.js";
import { tbfMessages } from "./shape.js";

const ROOT = 0xffff_ffff;

export function compareTbf(found: Found, message: QdiscTbf): Finding[] {
  const { ifindex, handle, rate, burstBytes, limitBytes } = message;
  const root = found.qdisc(ifindex, ROOT);
  const expected = `rate ${rate} burst ${burstBytes} limit ${limitBytes}`;
  if (root?.kind !== "tbf" || !root.tbf || root.handle !== handle) {
    // A handle that another kind of queue has cannot be replaced, only freed.
    const isTaken = root?.handle === handle;
    const away: Message[] = isTaken ? [{ op: "qdisc.delete", ifindex, parent: ROOT }] : [];
    return [finding("tbf", expected, root?.kind, [...away, { ...message, verb: "replace" }])];
  }
  const { tbf } = root;
  const isSame =
    tbf.rate === rate &&
    tbf.limitBytes === limitBytes &&
    isSameBucket(tbf.burstBytes, burstBytes, rate);
  if (isSame) return [];
  const text = `rate ${tbf.rate} burst ${tbf.burstBytes} limit ${tbf.limitBytes}`;
  const wished = { tbf: { rate, burstBytes, limitBytes } };
  return [
    finding("tbf", expected, text, tbfMessages({ ifindex, limits: wished }, wished, "change")),
  ];
}

/** A tree of another kind or with another default goes as a whole: its classes count as missing. */
export function compareTree(found: Found, message: QdiscHtb): Finding[] {
  const { ifindex, handle, defaultMinor } = message;
  const root = found.qdisc(ifindex, ROOT);
  if (root?.kind === "htb" && root.handle === handle && root.htb?.defaultMinor === defaultMinor)
    return [];
  const isThere = root !== undefined && root.handle !== 0;
  const away: Message[] = isThere ? [{ op: "qdisc.delete", ifindex, parent: ROOT }] : [];
  found.forgetTree();
  const text = root && `${root.kind} default ${root.htb?.defaultMinor ?? "none"}`;
  return [finding("htb", `htb default ${defaultMinor}`, text, [...away, message])];
}

export function compareClass(found: Found, message: ClassHtb): Finding[] {
  const own = found.classes.get(message.handle);
  if (own?.kind === "htb" && isSameClass(own, message)) return [];
  const repair: Message = { ...message, verb: "replace" };
  const expected = classText(message);
  if (!own || parentOf(own) === message.parent)
    return [finding("class", expected, own && classText(own), [repair])];
  // No change moves a class: it goes, with its queue, and another comes.
  found.forgetClass(own.handle);
  const { ifindex, handle } = message;
  const under = (parent: number) => `under ${formatClass(parent & 0xffff)}`;
  return [
    finding("class", under(message.parent), under(parentOf(own)), [
      { op: "class.delete", ifindex, handle },
      repair,
    ]),
  ];
}

function isSameClass(own: ClassInfo, wanted: ClassHtb): boolean {
  return (
    parentOf(own) === wanted.parent &&
    own.rate === wanted.rate &&
    own.ceil === wanted.ceil &&
    own.quantumBytes === wanted.quantumBytes &&
    isSameBucket(own.burstBytes, wanted.burstBytes, wanted.rate) &&
    isSameBucket(own.cburstBytes, wanted.cburstBytes, wanted.ceil)
  );
}

/** A class right under the root is listed as the device's. */
function parentOf({ parent }: ClassInfo): number {
  return parent === ROOT ? HTB_ROOT : parent;
}

function classText(one: Pick<ClassHtb, "rate" | "ceil" | "burstBytes" | "cburstBytes">): string {
  return `rate ${one.rate} ceil ${one.ceil} burst ${one.burstBytes} cburst ${one.cburstBytes}`;
}

/** `parent`: the class it stands in. */
export function compareLeaf(
  found: Found,
  message: QdiscTbf | QdiscBlackhole,
  parent: TcHandle,
): Finding[] {
  const { ifindex } = message;
  const kind = message.op.slice("qdisc.".length);
  const own = found.classes.get(parent);
  const leaf = own && found.qdisc(ifindex, parent);
  const wanted = message.op === "qdisc.tbf" ? message : undefined;
  const isRight = wanted
    ? isLeafRight(leaf?.tbf ?? leaf?.bfifo, wanted, own?.rate ?? 0)
    : leaf?.kind === kind;
  if (isRight) return [];
  const text = (of: { rate?: number; limitBytes?: number } | undefined) =>
    of ? ` rate ${of.rate ?? "none"} limit ${of.limitBytes}` : "";
  // A handle that another kind of queue has cannot be replaced, only freed.
  const isTaken = leaf && leaf.kind !== kind && leaf.handle === message.handle;
  const away: Message[] = isTaken ? [{ op: "qdisc.delete", ifindex, parent }] : [];
  const actual = leaf && `${leaf.kind}${text(leaf.tbf ?? leaf.bfifo)}`;
  const repair: Message[] = [...away, { ...message, verb: "replace" }];
  return [finding("leaf", `${kind}${text(wanted)}`, actual, repair)];
}
