// Edits of the BPF programs' source that translate wrongly. The programs are compiled and built into the addon again for
// each of them.

const promise = "a translated frame has the right addresses and checksums, or is dropped";
const file = "native/bpf/translate.bpf.h";
const checksums = "native/bpf/checksum.bpf.h";
const test = "kernel/translate-model.test.ts";

/** @type {import("./list.mjs").Mutant[]} */
export const programMutants = [
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
