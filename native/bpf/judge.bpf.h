// What every program here needs: the maps, the counted drop, the look-ups, and the judgement of a
// frame that a guest sends. Whether it is rewritten afterwards is left to translate.bpf.h.
#ifndef FORKNET_BPF_JUDGE_BPF_H_
#define FORKNET_BPF_JUDGE_BPF_H_

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

// Behind linux/bpf.h, whose types they use.
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

// Without preallocation a lease costs memory only while it lives, and an update replaces the whole
// element: a program sees the old lease or the new one, never half of each.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, LEASES_MAX);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct lease);
} leases SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct settings);
} settings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, DROPS_MAX);
  __type(key, __u32);
  __type(value, __u64);
} drops SEC(".maps");

// ARPHRD_ETHER, whose own header drags in libc.
enum { ARP_ETHERNET = 1 };

// RFC 826 for Ethernet and IPv4.
struct arp_ipv4 {
  __be16 hardware_type;
  __be16 protocol_type;
  __u8 hardware_length;
  __u8 protocol_length;
  __be16 operation;
  __u8 sender_mac[ETH_ALEN];
  __be32 sender_ip;
  __u8 target_mac[ETH_ALEN];
  __be32 target_ip;
} __attribute__((packed));

static __always_inline int drop(__u32 reason) {
  __u64* count = bpf_map_lookup_elem(&drops, &reason);
  if (count) *count += 1;
  return TC_ACT_SHOT;
}

static __always_inline const struct lease* find_lease(__u32 ifindex) {
  const struct lease* lease = bpf_map_lookup_elem(&leases, &ifindex);
  // A lease written by another version of the package may mean anything by its fields.
  if (lease && lease->version != LEASE_VERSION) return 0;
  return lease;
}

static __always_inline const struct settings* find_settings(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&settings, &zero);
}

static __always_inline int same_mac(const __u8* a, const __u8* b) {
  const __u16* x = (const void*)a;
  const __u16* y = (const void*)b;
  return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

enum { ACCEPTED = DROPS_MAX };

// The kernel takes the outer tag out of the frame before this hook: then only vlan_present tells.
static __always_inline int is_tagged(const struct __sk_buff* skb) {
  return skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) ||
         skb->protocol == bpf_htons(ETH_P_8021AD);
}

// A guest chooses how much of its frame is linear (virtio's hdr_len), so a short linear part is no
// fault: the rest is pulled in. That invalidates what was read from skb->data before. A frame that
// is too short stays as it is.
static __always_inline void pull(struct __sk_buff* skb, __u32 length) {
  if ((void*)(long)skb->data + length > (void*)(long)skb->data_end) bpf_skb_pull_data(skb, length);
}

static __always_inline int is_ipv4_arp(const struct arp_ipv4* arp) {
  return arp->hardware_type == bpf_htons(ARP_ETHERNET) &&
         arp->protocol_type == bpf_htons(ETH_P_IP) && arp->hardware_length == ETH_ALEN &&
         arp->protocol_length == 4;
}

// Port isolation ends at layer 2: what a guest sends to the gateway's MAC with a peer's IP is
// routed to the peer.
static __always_inline int is_peer(__be32 ip, const struct lease* lease,
                                   const struct settings* net) {
  return (net->flags & SETTINGS_ISOLATED) && (ip & net->mask) == net->subnet &&
         ip != net->gateway && ip != lease->ip;
}

static __always_inline __u32 judge_ipv4(struct __sk_buff* skb, const struct lease* lease,
                                        __be32 own, const struct settings* net) {
  pull(skb, ETH_HLEN + sizeof(struct iphdr));
  const struct iphdr* ip = (void*)(long)skb->data + ETH_HLEN;
  if ((void*)(ip + 1) > (void*)(long)skb->data_end) return DROP_MALFORMED;
  if (ip->version != 4 || ip->ihl < 5) return DROP_MALFORMED;
  if (ip->saddr != own) return DROP_IP;
  return is_peer(ip->daddr, lease, net) ? DROP_PEER : ACCEPTED;
}

// Also refuses probes (sender 0.0.0.0): the guest's address is given to it, there is nothing to
// probe for.
static __always_inline __u32 judge_arp(struct __sk_buff* skb, const __u8* mac, __be32 own) {
  pull(skb, ETH_HLEN + sizeof(struct arp_ipv4));
  const struct arp_ipv4* arp = (void*)(long)skb->data + ETH_HLEN;
  if ((void*)(arp + 1) > (void*)(long)skb->data_end) return DROP_MALFORMED;
  if (!is_ipv4_arp(arp)) return DROP_ARP;
  return same_mac(arp->sender_mac, mac) && arp->sender_ip == own ? ACCEPTED : DROP_ARP;
}

// `mac` and `own`: what the guest calls itself.
static __always_inline __u32 judge(struct __sk_buff* skb, const struct lease* lease,
                                   const __u8* mac, __be32 own, const struct settings* net) {
  if (lease->flags & LEASE_BLOCKED) return DROP_BLOCKED;
  // No shaper, not ready: TC_ACT_OK would let the guest onto the bridge without its limit.
  if (!net || !net->shaper_ifindex) return DROP_UNARMED;
  if (is_tagged(skb)) return DROP_VLAN;
  // Linear without a pull: the kernel has read the type from it.
  const struct ethhdr* ethernet = (void*)(long)skb->data;
  if ((void*)(ethernet + 1) > (void*)(long)skb->data_end) return DROP_MALFORMED;
  if (!same_mac(ethernet->h_source, mac)) return DROP_MAC;
  if (ethernet->h_proto == bpf_htons(ETH_P_IP)) return judge_ipv4(skb, lease, own, net);
  if (ethernet->h_proto == bpf_htons(ETH_P_ARP)) return judge_arp(skb, mac, own);
  return DROP_PROTOCOL;
}

#endif  // FORKNET_BPF_JUDGE_BPF_H_
