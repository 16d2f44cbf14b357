// What a guest's virtio header leaves to the host, which does it after the frame was judged: to
// write a checksum (it is pending: CHECKSUM_PARTIAL), and to cut a long frame into segments (GSO).
// Both may change only what nobody has judged: the checksum is written where TCP or UDP has it, and
// what is cut is what the IPv4 header says it is.
//
// A guard sees where by the kernel's types (kfuncs; Linux 6.2 and CAP_PERFMON), or it has helpers
// tell it.
#ifndef FORKNET_BPF_PENDING_BPF_H_
#define FORKNET_BPF_PENDING_BPF_H_

#include <linux/errno.h>
#include <linux/in.h>

#include "judge.bpf.h"

// A first fragment's MF, and every offset.
enum { ANY_FRAGMENT = 0x3fff };

// Of <linux/skbuff.h>, where it is no enumerator: the loader cannot find it.
enum { CHECKSUM_PARTIAL = 3 };

enum { UDP_HEADER_BYTES = 8, FRAGMENT_UNIT_BYTES = 8 };

// The host takes 0.4 us for each segment, and every guest's upload waits meanwhile where it is the
// shaper that cuts: 28 ms for 64 KB in segments of one byte. Honest stacks ask for 45, or for 122
// where the MTU on the way is 576.
enum { MOST_SEGMENTS = 256 };

static __always_inline int has_too_many_segments(const struct __sk_buff* skb) {
  __u32 segment_bytes = skb->gso_size;
  return segment_bytes && skb->len > segment_bytes * MOST_SEGMENTS;
}

struct transport {
  __u32 start;            // from the start of the frame
  __u32 checksum_offset;  // 0: its checksum may not be pending
  __u8 protocol;
};

// Of a frame that was judged. IP fragments have no transport header of their own, or not all of
// what it covers.
static __always_inline struct transport find_transport(const struct __sk_buff* skb) {
  struct transport none = {};
  const struct ethhdr* ethernet = (void*)(long)skb->data;
  const struct iphdr* ip = (void*)(ethernet + 1);
  if ((void*)(ip + 1) > (void*)(long)skb->data_end) return none;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP)) return none;
  if (ip->frag_off & bpf_htons(ANY_FRAGMENT)) return none;
  struct transport found = {.start = ETH_HLEN + ip->ihl * 4, .protocol = ip->protocol};
  if (ip->protocol == IPPROTO_TCP) found.checksum_offset = 16;
  if (ip->protocol == IPPROTO_UDP) found.checksum_offset = 6;
  return found;
}

// Without a checksum that is pending nothing honest asks for segments, whose checksums would be.
static __always_inline __u32 judge_complete(const struct __sk_buff* skb) {
  return skb->gso_size ? DROP_CHECKSUM : ACCEPTED;
}

// The loader puts numbers of the running kernel's BTF in the place of these symbols' addresses:
// where a member is, in bits; a type's id; an enumerator's value.
#define MEMBER(type, name)                             \
  ({                                                   \
    extern const void member__##type##__##name __ksym; \
    (__u64)(long) & member__##type##__##name;          \
  })
#define TYPE(name)                         \
  ({                                       \
    extern const void type__##name __ksym; \
    (__u64)(long) & type__##name;          \
  })
#define ENUMERATOR(name)                         \
  ({                                             \
    extern const void enumerator__##name __ksym; \
    (__u64)(long) & enumerator__##name;          \
  })
#define READ(object, type, name, as) (*(const volatile as*)((object) + (MEMBER(type, name) >> 3)))

extern void* bpf_cast_to_kern_ctx(void* context) __ksym;
extern void* bpf_rdonly_cast(const void* object, __u32 type) __ksym;

// IPv4's own segments of this protocol, and nothing inside a tunnel. IP fragments begin at
// multiples of eight bytes, so that others would come out with bytes left out.
static __always_inline int are_segments_honest(const char* kernel, __u8 protocol, __u32 bytes) {
  const char* head = (const char*)READ(kernel, sk_buff, head, __u64);
  const char* shared =
      bpf_rdonly_cast(head + READ(kernel, sk_buff, end, __u32), TYPE(skb_shared_info));
  // DODGY: whatever comes from a TAP.
  __u64 type = READ(shared, skb_shared_info, gso_type, __u32) & ~ENUMERATOR(SKB_GSO_DODGY);
  if (protocol == IPPROTO_TCP)
    return (type & ~ENUMERATOR(SKB_GSO_TCP_ECN)) == ENUMERATOR(SKB_GSO_TCPV4);
  if (type == ENUMERATOR(SKB_GSO_UDP_L4)) return 1;
  return type == ENUMERATOR(SKB_GSO_UDP) && bytes % FRAGMENT_UNIT_BYTES == 0;
}

static __always_inline __u32 judge_pending_by_types(struct __sk_buff* skb) {
  const char* kernel = bpf_cast_to_kern_ctx(skb);
  __u64 bit = MEMBER(sk_buff, ip_summed);
  __u8 summed = *(const volatile __u8*)(kernel + (bit >> 3)) >> (bit & 7);
  if ((summed & 3) != CHECKSUM_PARTIAL) return judge_complete(skb);
  struct transport transport = find_transport(skb);
  if (!transport.checksum_offset) return DROP_CHECKSUM;
  // The kernel counts from the start of the buffer.
  __u64 before = READ(kernel, sk_buff, data, __u64) - READ(kernel, sk_buff, head, __u64);
  if (READ(kernel, sk_buff, csum_start, __u16) != before + transport.start) return DROP_CHECKSUM;
  if (READ(kernel, sk_buff, csum_offset, __u16) != transport.checksum_offset) return DROP_CHECKSUM;
  __u32 segment_bytes = skb->gso_size;
  if (segment_bytes && !are_segments_honest(kernel, transport.protocol, segment_bytes))
    return DROP_CHECKSUM;
  return ACCEPTED;
}

// A level can be counted up to unless a checksum is pending, so that there is none to ask for
// afterwards. What a TAP brings has no level of its own.
static __always_inline int is_pending(struct __sk_buff* skb) {
  bpf_csum_level(skb, BPF_CSUM_LEVEL_INC);
  int pending = bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) < 0;
  bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
  return pending;
}

// No helper tells where a checksum will be written, but a frame may not be cut off before: EINVAL
// says that it is behind the headers, where TCP and UDP have it or in what they carry, which nobody
// judges. Nor does any tell what kind of segments are to be cut; the kernel cuts none whose kind is
// not the protocol's, and IP fragments of eight bytes and more have the ports where they were.
static __always_inline __u32 judge_pending_by_helpers(struct __sk_buff* skb,
                                                      const struct settings* net) {
  if (net->flags & SETTINGS_PENDING_ACCEPTED) return ACCEPTED;
  if (!is_pending(skb)) return judge_complete(skb);
  if (net->flags & SETTINGS_PENDING_DROPPED) return DROP_CHECKSUM;
  struct transport transport = find_transport(skb);
  if (!transport.checksum_offset) return DROP_CHECKSUM;
  __u32 segment_bytes = skb->gso_size;
  if (segment_bytes && segment_bytes < UDP_HEADER_BYTES && transport.protocol == IPPROTO_UDP)
    return DROP_CHECKSUM;
  __u32 end = transport.start + transport.checksum_offset + sizeof(__sum16);
  return bpf_skb_change_tail(skb, end - 1, 0) == -EINVAL ? ACCEPTED : DROP_CHECKSUM;
}

#endif  // FORKNET_BPF_PENDING_BPF_H_
