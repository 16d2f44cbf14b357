// Plans run in this thread on a kernel that can be made to fail: one network, opened or not, and
// slots that are told apart by a number.

import { ownerOf, type TapOwner } from "../../dist/identity/tap-owner.js";
import { loadAddon } from "../../dist/kernel/addon.js";
import type { Kernel } from "../../dist/kernel/kernel.js";
import type { Message } from "../../dist/kernel/messages.js";
import { formatAlias, formatSlotAlias } from "../../dist/lease/alias.js";
import { encodeLease, keyOf, type Lease } from "../../dist/lease/lease.js";
import { type Limits, toKernelLimits } from "../../dist/limits.js";
import { resolveOptions } from "../../dist/options.js";
import { destroy } from "../../dist/plans/destroy.js";
import { mend } from "../../dist/plans/mend.js";
import { open } from "../../dist/plans/open.js";
import { reap } from "../../dist/plans/reap.js";
import { type ShapeJob, shape } from "../../dist/plans/shape.js";
import { classMessages, createSlot, type SlotSpec } from "../../dist/plans/slot.js";
import { survey } from "../../dist/plans/survey.js";
import { createKernel } from "./faulty-kernel.mjs";

const FIRST_MINOR = 0x10;
/** TC_H_CLSACT */
const CLSACT = 0xffff_fff1;

export const LIMITS: Limits = { download: 20e6, upload: { rate: 5e6, ceil: 20e6 } };
export const LOWER: Limits = { download: 3e6, upload: { rate: 1e6, ceil: 2e6 } };
export const HIGHER: Limits = { download: 90e6, upload: { rate: 8e6, ceil: 30e6 } };

/**
 * Made after the Faults, whose controls the kernel looks for when it is made, and where the file
 * begins: its two sockets are open before the first look at the file descriptors, and stay.
 */
export class PlanBed {
  readonly options = {
    ...resolveOptions({ bridge: "vmbr0", subnet: "10.100.0.0/24" }),
    mtu: 1500,
  };
  readonly kernel: Kernel = createKernel();
  /** Looks at what is there without counting as the plan's operation. */
  readonly #netlink = new (loadAddon().Netlink)();
  /** TAPs by their slot's number, also of those that are gone. */
  readonly #ifindexes = new Map<number, number>();
  #facts: ReturnType<typeof open>["facts"] | undefined;

  get facts() {
    if (!this.#facts) throw new Error("the network is not open");
    return this.#facts;
  }

  open(): void {
    this.#facts = open(this.kernel, this.options).facts;
  }

  /** As when the process dies: what the kernel holds stays. */
  forget(): void {
    const { maps, programs } = this.facts;
    for (const fd of [...Object.values(maps), ...Object.values(programs)]) loadAddon().closeFd(fd);
    this.#facts = undefined;
  }

  destroy(): void {
    destroy(this.kernel, this.facts, this.options.subnet);
  }

  lease(number: number, limits = LIMITS): Lease {
    const ip = this.options.subnet.gateway + number;
    return {
      instanceId: `vm-${number}`,
      instanceName: `web-${number}`,
      ip,
      mac: 0x0200 * 2 ** 32 + ip,
      classMinor: FIRST_MINOR + number,
      limits,
      createdMs: 1e12,
      generation: 0,
      blocked: false,
    };
  }

  spec(number: number, tapName = `fk-${number}`): SlotSpec {
    const lease = this.lease(number);
    return {
      tapName,
      ip: lease.ip,
      mac: lease.mac,
      class: { minor: lease.classMinor, exists: this.#hasClass(lease.classMinor), flip: 0 },
      limits: toKernelLimits(lease.limits, this.options),
      alias: formatAlias(lease),
    };
  }

  make(number: number, owner?: TapOwner): number {
    return this.#make(number, { ...this.spec(number), ...(owner ? { owner } : {}) });
  }

  /** Who may open a slot's TAP. */
  ownerOf(number: number): TapOwner {
    return ownerOf(this.#netlink.link({ ifindex: this.ifindex(number) })?.tun ?? {});
  }

  /** Gives a slot's TAP to somebody else, from outside. */
  takeAway(number: number): void {
    const { tapName: name } = this.spec(number);
    const { vnetHdr, multiQueue } = this.facts.tap;
    loadAddon().closeFd(loadAddon().openTap({ name, vnetHdr, multiQueue, owner: 99 }).fd);
  }

  /** A slot that nobody took. */
  makeSpare(number: number): number {
    const spec = this.spec(number);
    return this.#make(number, {
      ...spec,
      alias: formatSlotAlias(spec.ip, spec.mac, spec.class.minor),
    });
  }

  arm(number: number): void {
    const lease = encodeLease(this.lease(number));
    this.kernel.bpf.mapSet(this.facts.maps.leases, keyOf(this.ifindex(number)), lease);
  }

  ifindex(number: number): number {
    return this.#ifindexes.get(number) ?? 0;
  }

  /** Deletes slots that are there or were; the first refusal, or null. */
  reap(...numbers: number[]) {
    const jobs = numbers.map((number) => {
      const { tapName, ip, mac } = this.spec(number);
      return { tapName, ip, mac, ifindex: this.ifindex(number) };
    });
    return reap(this.kernel, this.facts, jobs).find((failure) => failure !== null) ?? null;
  }

  /** Changes a slot's limits; the refusal, or null. */
  shape(number: number, job: Pick<ShapeJob, "unproved"> & { from?: Limits; to: Limits }) {
    const { tapName, class: claim, alias: previousAlias } = this.spec(number);
    const { from, to, unproved } = job;
    const shapeJob: ShapeJob = {
      tapName,
      ifindex: this.ifindex(number),
      class: { ...claim, exists: true },
      limits: toKernelLimits(to, this.options),
      alias: formatAlias(this.lease(number, to)),
      previousAlias,
      ...(from ? { previous: toKernelLimits(from, this.options) } : {}),
      ...(unproved ? { unproved } : {}),
    };
    return shape(this.kernel, this.facts, [shapeJob])[0] ?? null;
  }

  /** What is wrong with a guest's slot. */
  survey(number: number) {
    const { tapName, ip, mac, class: claim } = this.spec(number);
    const ifindex = this.ifindex(number);
    const owner = ownerOf(this.facts.tap);
    const tap = { ifindex, tapName, class: claim, ip, mac, owner, lease: this.lease(number) };
    const { subnet, uploadCapacity: capacity } = this.options;
    return survey(this.kernel, {
      facts: this.facts,
      subnet,
      capacity,
      defaults: this.options,
      taps: [tap],
      freeClasses: [],
      groups: [],
      stranded: [],
      withOverlaps: true,
      hasNat: false,
      isMtuAsked: false,
    }).taps.flatMap(({ findings }) => findings);
  }

  /** Puts right what survey finds; the refusal, or null. */
  mend(number: number) {
    const findings = this.survey(number);
    const messages = findings.flatMap((finding) => finding.repair);
    const isStrange = findings.some(({ what }) => what === "owner");
    const to = ownerOf(this.facts.tap);
    const give = isStrange ? { give: { ifindex: this.ifindex(number), to } } : {};
    const job = { device: this.spec(number).tapName, messages, ...give };
    return mend(this.kernel, this.facts, [job])[0] ?? null;
  }

  /** Changes a slot's upload limit and takes guard and gate away, from outside. */
  spoil(number: number): void {
    const { limits, class: claim } = this.spec(number);
    const [htb] = classMessages(this.facts, claim, limits, "change");
    if (htb?.op !== "class.htb") throw new Error("a class is not the first of its messages");
    this.meddle({ ...htb, rate: 1000 });
    this.meddle({ op: "qdisc.delete", ifindex: this.ifindex(number), parent: CLSACT });
  }

  /** Does what somebody else might do; it must go well. */
  meddle(message: Message): void {
    const [refusal] = this.#netlink.talk([message]);
    if (refusal) throw new Error(`${message.op}: errno ${refusal.errno} ${refusal.text}`);
  }

  deleteClass(number: number): void {
    const handle = 0x1_0000 + FIRST_MINOR + number;
    this.meddle({ op: "class.delete", ifindex: this.facts.shaper.ifindex, handle });
  }

  deleteNeighbor(number: number): void {
    const { ip } = this.lease(number);
    this.meddle({ op: "neighbor.delete", ifindex: this.facts.bridge.ifindex, ip });
  }

  deleteLink(name: string): void {
    const ifindex = this.#netlink.link({ name })?.ifindex;
    if (ifindex !== undefined) this.meddle({ op: "link.delete", ifindex });
  }

  #make(number: number, spec: SlotSpec): number {
    const ifindex = createSlot(this.kernel, this.facts, spec);
    this.#ifindexes.set(number, ifindex);
    return ifindex;
  }

  #hasClass(minor: number): boolean {
    return this.#netlink
      .classes(this.facts.shaper.ifindex)
      .some(({ handle }) => (handle & 0xffff) === minor);
  }
}
