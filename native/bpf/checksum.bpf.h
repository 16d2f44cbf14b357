// Internet checksums (RFC 1624) that follow changed addresses, without reading what they cover.
#ifndef FORKNET_BPF_CHECKSUM_BPF_H_
#define FORKNET_BPF_CHECKSUM_BPF_H_

#include <linux/bpf.h>
#include <linux/in.h>

// Behind linux/bpf.h, whose types they use.
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// 0 in a UDP checksum says that there is none; this is the same number to who sums it up.
enum { NO_ZERO = 0xffff };

static __always_inline __u32 fold32(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline __u16 fold16(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

// What a sum grows by when two words are replaced. Never 0 when one differs.
static __always_inline __u32 difference(__be32 former, __be32 now, __be32 former2, __be32 now2) {
  return fold32((__u64)(__u32)~former + now + (__u32)~former2 + now2);
}

static __always_inline __u16 followed(__u16 checksum, __u32 change) {
  return ~fold16(fold32((__u64)(__u16)~checksum + change));
}

// Where a transport header has its checksum over the addresses; 0 when it has none.
static __always_inline __u32 checksum_at(__u8 protocol, __u32 transport) {
  switch (protocol) {
    case IPPROTO_TCP:
      return transport + 16;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_DCCP:
      return transport + 6;
    default:
      return 0;
  }
}

// The kernel's helper takes every checksum of a packet that has a pending one (CHECKSUM_PARTIAL)
// for that. Around a tunnel the pending one is inside, and that of the outer UDP complete. A
// pending one is the sum of the pseudo header, and only then the helper is asked.
static __always_inline long follow_udp(struct __sk_buff* skb, __u32 udp, __u32 pseudo,
                                       __u32 change) {
  struct {
    __be16 length;
    __u16 checksum;
  } tail;
  if (bpf_skb_load_bytes(skb, udp + 4, &tail, sizeof tail)) return -1;
  if (!tail.checksum) return 0;
  __u32 pending = fold32((__u64)pseudo + bpf_htons(IPPROTO_UDP) + tail.length);
  if (tail.checksum == fold16(pending))
    return bpf_l4_csum_replace(skb, udp + 6, 0, change, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0);
  tail.checksum = followed(tail.checksum, change);
  if (!tail.checksum) tail.checksum = NO_ZERO;
  return bpf_skb_store_bytes(skb, udp + 6, &tail.checksum, sizeof tail.checksum, 0);
}

// `pseudo`: the sum of the addresses as they were. Not 0: a header that ends before its checksum.
static __always_inline long follow_transport(struct __sk_buff* skb, __u8 protocol, __u32 transport,
                                             __u32 pseudo, __u32 change) {
  if (protocol == IPPROTO_UDP) return follow_udp(skb, transport, pseudo, change);
  __u32 field = checksum_at(protocol, transport);
  return field ? bpf_l4_csum_replace(skb, field, 0, change, BPF_F_PSEUDO_HDR) : 0;
}

#endif  // FORKNET_BPF_CHECKSUM_BPF_H_
