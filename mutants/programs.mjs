// Edits of the BPF programs' source that judge or translate wrongly. The programs are compiled and built into the addon again for
// each of them.

const sentAsJudged = "what is sent is what was judged";
const pending = "native/bpf/pending.bpf.h";
const offload = { promise: sentAsJudged, file: pending, test: "kernel/offload-model.test.ts" };
const promise = "a translated frame has the right addresses and checksums, or is dropped";
const file = "native/bpf/translate.bpf.h";
const checksums = "native/bpf/checksum.bpf.h";
const test = "kernel/translate-model.test.ts";

/** @type {import("./list.mjs").Mutant[]} */
export const programMutants = [
  {
    ...offload,
    name: "guard: nobody looks where a pending checksum will be written",
    file: "native/bpf/guard.bpf.c",
    from: "return way == BY_TYPES ? judge_pending_by_types(skb) : judge_pending_by_helpers(skb, net);",
    to: "(void)skb;\n  (void)net;\n  (void)way;\n  return ACCEPTED;",
    test: "kernel/pending-checksum.test.ts",
  },
  {
    ...offload,
    name: "guard: where the sum of a pending checksum starts does not matter",
    from: "if (READ(kernel, sk_buff, csum_start, __u16) != before + transport.start) return DROP_CHECKSUM;",
    to: "(void)before;",
  },
  {
    ...offload,
    name: "guard: where a pending checksum is written does not matter",
    from: "if (READ(kernel, sk_buff, csum_offset, __u16) != transport.checksum_offset) return DROP_CHECKSUM;",
    to: "",
  },
  {
    ...offload,
    name: "guard: a fragment's checksum may be pending",
    from: "if (ip->frag_off & bpf_htons(ANY_FRAGMENT)) return none;",
    to: "",
  },
  {
    ...offload,
    name: "guard: segments need no pending checksum",
    from: "return skb->gso_size ? DROP_CHECKSUM : ACCEPTED;",
    to: "return skb->gso_size > 0xffff ? DROP_CHECKSUM : ACCEPTED;",
  },
  {
    ...offload,
    name: "guard: segments may be of any kind",
    from: "if (segment_bytes && !are_segments_honest(kernel, transport.protocol, segment_bytes))",
    to: "if (segment_bytes && transport.protocol == 0)",
  },
  {
    ...offload,
    name: "guard: fragments may begin anywhere",
    from: "type == ENUMERATOR(SKB_GSO_UDP) && bytes % FRAGMENT_UNIT_BYTES == 0",
    to: "type == ENUMERATOR(SKB_GSO_UDP) && bytes % 1 == 0",
  },
  {
    ...offload,
    name: "guard: helpers are not asked where",
    from: "return bpf_skb_change_tail(skb, end - 1, 0) == -EINVAL ? ACCEPTED : DROP_CHECKSUM;",
    to: "(void)end;\n  return ACCEPTED;",
  },
  {
    ...offload,
    name: "guard: helpers let a UDP header be cut",
    from: "if (segment_bytes && segment_bytes < UDP_HEADER_BYTES && transport.protocol == IPPROTO_UDP)",
    to: "if (0 * segment_bytes)",
  },
  {
    name: "translation: the IPv4 header's checksum stays",
    file,
    from: "ip->check = followed(ip->check, change);",
    to: "",
  },
  {
    name: "translation: later fragments have a transport header",
    file,
    from: "if (ip->frag_off & bpf_htons(FRAGMENT_OFFSET)) return ACCEPTED;",
    to: "",
  },
  {
    name: "translation: a quoted packet went the same way",
    file,
    from: "translate_quote(skb, transport, from, to, !sent)",
    to: "translate_quote(skb, transport, from, to, sent)",
  },
  {
    name: "translation: an ICMP error's checksum stays",
    file,
    from: "own = followed(own, (__u32)(__u16)~former + now);",
    to: "",
  },
  {
    name: "translation: a quoted pending checksum is taken for a complete one",
    file,
    from: "former == pending_checksum(&ip, pseudo)",
    to: "0 * pending_checksum(&ip, pseudo)",
    test: "kernel/translate-traceroute.test.ts",
  },
  {
    name: "translation: ARP tells the inner address",
    file,
    from: "replace_halves(arp.sender_ip, inner.ip, outer.ip);",
    to: "",
  },
  {
    name: "translation: frames for other addresses reach the guest",
    file,
    from: "is_group || ip->daddr == lease->ip ? ACCEPTED",
    to: "1 ? ACCEPTED",
  },
  {
    name: "translation: who-has for others reaches the guest",
    file,
    from: "is_ipv4_arp(arp) && arp->target_ip == lease->ip",
    to: "is_ipv4_arp(arp)",
  },
  {
    name: "translation: the guard wants the outer address",
    file: "native/bpf/guard.bpf.c",
    from: "translated ? lease->guest_ip : lease->ip",
    to: "lease->ip",
  },
  {
    name: "translation: UDP without a checksum gets one",
    file: checksums,
    from: "if (!tail.checksum) return 0;",
    to: "",
  },
  {
    name: "translation: a UDP checksum becomes none",
    file: checksums,
    from: "if (!tail.checksum) tail.checksum = NO_ZERO;",
    to: "",
  },
  {
    name: "translation: checksums follow one of two addresses",
    file: checksums,
    from: "(__u32)~former + now + (__u32)~former2 + now2",
    to: "(__u32)~former + now + 0 * (former2 + now2)",
  },
  {
    name: "translation: a complete checksum around a pending one is taken for that",
    file: checksums,
    from: "if (tail.checksum == fold16(pending))",
    to: "if (fold16(pending) != 0)",
    test: "kernel/translate-offload.test.ts",
  },
  {
    name: "translation: a pending checksum is taken for a complete one",
    file: checksums,
    from: "bpf_l4_csum_replace(skb, field, 0, change, BPF_F_PSEUDO_HDR)",
    to: "bpf_l4_csum_replace(skb, field, 0, change, 0)",
    test: "kernel/translate-traffic.test.ts",
    title: "two clones",
  },
].map((mutant) => ({ promise, test, ...mutant }));
