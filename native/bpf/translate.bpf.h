// The translation of a frame between what the guest believes (inner: the identity in its snapshot)
// and what it is on the bridge (outer). Stateless. One rule keeps it right: the guest's own address
// is rewritten only at the guest's end of a packet, the gateway's only at the other end.
//
// Headers are copied to the stack and stored back: a direct write would make the kernel unshare
// every frame that passes, also those of guests that are not translated.
#ifndef FORKNET_BPF_TRANSLATE_BPF_H_
#define FORKNET_BPF_TRANSLATE_BPF_H_

#include <linux/in.h>

#include "checksum.bpf.h"
#include "judge.bpf.h"

struct identity {
  __be32 ip;
  __be32 gateway;
  __u16 mac[3];
  __u16 gateway_mac[3];
};

// Ethernet and what is behind it, so that the latter is aligned.
struct ipv4_headers {
  __u16 pad;
  __u16 destination[3];
  __u16 source[3];
  __be16 type;
  struct iphdr ip;
};

struct arp_frame {
  __u16 pad;
  __u16 destination[3];
  __u16 source[3];
  __be16 type;
  __u16 head[4];
  __u16 sender_mac[3];
  __u16 sender_ip[2];
  __u16 target_mac[3];
  __u16 target_ip[2];
};

enum {
  IPV4_HEADERS_BYTES = ETH_HLEN + sizeof(struct iphdr),
  ARP_FRAME_BYTES = ETH_HLEN + sizeof(struct arp_ipv4),
  FRAGMENT_OFFSET = 0x1fff,
  ICMP_HEADER_BYTES = 8,
};

// Of <linux/icmp.h>, which drags in libc.
enum {
  UNREACHABLE = 3,
  SOURCE_QUENCH = 4,
  REDIRECT = 5,
  TIME_EXCEEDED = 11,
  PARAMETER_PROBLEM = 12,
};

static __always_inline void copy_mac(__u16* to, const void* from) {
  const __u16* mac = from;
  to[0] = mac[0];
  to[1] = mac[1];
  to[2] = mac[2];
}

static __always_inline void replace_mac(__u16* mac, const __u16* from, const __u16* to) {
  if (same_mac((void*)mac, (void*)from)) copy_mac(mac, to);
}

static __always_inline __be32 replaced(__be32 ip, __be32 from, __be32 to) {
  return ip == from ? to : ip;
}

static __always_inline void replace_halves(__u16* ip, __be32 from, __be32 to) {
  __be32 now = replaced(ip[0] | (__u32)ip[1] << 16, from, to);
  ip[0] = now;
  ip[1] = now >> 16;
}

static __always_inline struct identity inner_of(const struct lease* lease) {
  struct identity inner = {.ip = lease->guest_ip, .gateway = lease->guest_gateway};
  copy_mac(inner.mac, lease->guest_mac);
  copy_mac(inner.gateway_mac, lease->guest_gateway_mac);
  return inner;
}

static __always_inline struct identity outer_of(const struct lease* lease,
                                                const struct settings* net) {
  struct identity outer = {.ip = lease->ip, .gateway = net->gateway};
  copy_mac(outer.mac, lease->mac);
  copy_mac(outer.gateway_mac, net->gateway_mac);
  return outer;
}

// `ip` holds a packet's addresses; `sent`: its source is the guest. Returns what a checksum over
// the addresses has to follow, 0 when they stay.
static __always_inline __u32 replace_addresses(struct iphdr* ip, const struct identity* from,
                                               const struct identity* to, int sent) {
  __be32 source = sent ? replaced(ip->saddr, from->ip, to->ip)
                       : replaced(ip->saddr, from->gateway, to->gateway);
  __be32 destination = sent ? replaced(ip->daddr, from->gateway, to->gateway)
                            : replaced(ip->daddr, from->ip, to->ip);
  if (source == ip->saddr && destination == ip->daddr) return 0;
  __u32 change = difference(ip->saddr, source, ip->daddr, destination);
  ip->check = followed(ip->check, change);
  ip->saddr = source;
  ip->daddr = destination;
  return change;
}

static __always_inline int is_icmp_error(__u8 type) {
  return type == UNREACHABLE || type == SOURCE_QUENCH || type == REDIRECT ||
         type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

// How a quoted transport checksum looks that was left to a network card: what quotes it, this host
// or the guest, got it unfinished. One complete checksum in 65,536 looks the same; in a quote it is
// verified by nobody. `pseudo`: the sum of the addresses as they were.
static __always_inline __u16 pending_checksum(const struct iphdr* ip, __u32 pseudo) {
  __u16 length = bpf_ntohs(ip->tot_len) - ip->ihl * 4;
  return fold16(fold32((__u64)pseudo + bpf_htons(ip->protocol) + bpf_htons(length)));
}

// The packet that an ICMP error quotes, which went the other way: `sent` as in replace_addresses.
// Its addresses and its header's checksum change by opposite amounts, so that the error's own
// checksum only has to follow the quoted transport checksum.
static __always_inline __u32 translate_quote(struct __sk_buff* skb, __u32 icmp,
                                             const struct identity* from, const struct identity* to,
                                             int sent) {
  __u8 type;
  struct iphdr ip;
  __u32 at = icmp + ICMP_HEADER_BYTES;
  if (bpf_skb_load_bytes(skb, icmp, &type, sizeof type)) return DROP_UNTRANSLATABLE;
  if (!is_icmp_error(type)) return ACCEPTED;
  if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip)) return DROP_UNTRANSLATABLE;
  if (ip.version != 4 || ip.ihl < 5) return DROP_UNTRANSLATABLE;
  __u32 pseudo = fold32((__u64)ip.saddr + ip.daddr);
  __u32 change = replace_addresses(&ip, from, to, sent);
  if (!change) return ACCEPTED;
  if (bpf_skb_store_bytes(skb, at, &ip, sizeof ip, 0)) return DROP_UNTRANSLATABLE;
  if (ip.frag_off & bpf_htons(FRAGMENT_OFFSET)) return ACCEPTED;
  __u32 field = checksum_at(ip.protocol, at + ip.ihl * 4);
  __u16 former;
  // Most errors quote only 8 bytes of what is behind the header.
  if (!field || bpf_skb_load_bytes(skb, field, &former, sizeof former)) return ACCEPTED;
  if (ip.protocol == IPPROTO_UDP && !former) return ACCEPTED;
  __u16 now = former == pending_checksum(&ip, pseudo) ? fold16(fold32((__u64)former + change))
                                                      : followed(former, change);
  if (ip.protocol == IPPROTO_UDP && !now) now = NO_ZERO;
  __u16 own;
  if (bpf_skb_load_bytes(skb, icmp + 2, &own, sizeof own)) return DROP_UNTRANSLATABLE;
  own = followed(own, (__u32)(__u16)~former + now);
  if (bpf_skb_store_bytes(skb, field, &now, sizeof now, 0)) return DROP_UNTRANSLATABLE;
  return bpf_skb_store_bytes(skb, icmp + 2, &own, sizeof own, 0) ? DROP_UNTRANSLATABLE : ACCEPTED;
}

static __always_inline __u32 translate_ipv4(struct __sk_buff* skb, struct ipv4_headers* headers,
                                            const struct identity* from, const struct identity* to,
                                            int sent) {
  struct iphdr* ip = &headers->ip;
  __u32 transport = ETH_HLEN + ip->ihl * 4;
  if (transport > skb->len) return sent ? DROP_MALFORMED : DROP_GATE_MALFORMED;
  __u32 pseudo = fold32((__u64)ip->saddr + ip->daddr);
  __u32 change = replace_addresses(ip, from, to, sent);
  if (bpf_skb_store_bytes(skb, 0, headers->destination, IPV4_HEADERS_BYTES, 0))
    return DROP_UNTRANSLATABLE;
  if (ip->frag_off & bpf_htons(FRAGMENT_OFFSET)) return ACCEPTED;
  // Also with addresses that stay: those it quotes may not.
  if (ip->protocol == IPPROTO_ICMP) return translate_quote(skb, transport, from, to, !sent);
  if (!change) return ACCEPTED;
  return follow_transport(skb, ip->protocol, transport, pseudo, change) ? DROP_UNTRANSLATABLE
                                                                        : ACCEPTED;
}

// `skb` was judged: it is IPv4 or ARP, and this guest's.
static __always_inline __u32 translate_from_guest(struct __sk_buff* skb, const struct lease* lease,
                                                  const struct settings* net) {
  const struct identity inner = inner_of(lease);
  const struct identity outer = outer_of(lease, net);
  struct ipv4_headers headers;
  if (bpf_skb_load_bytes(skb, 0, headers.destination, IPV4_HEADERS_BYTES)) return DROP_MALFORMED;
  if (headers.type == bpf_htons(ETH_P_IP)) {
    copy_mac(headers.source, outer.mac);
    replace_mac(headers.destination, inner.gateway_mac, outer.gateway_mac);
    return translate_ipv4(skb, &headers, &inner, &outer, 1);
  }
  struct arp_frame arp;
  if (bpf_skb_load_bytes(skb, 0, arp.destination, ARP_FRAME_BYTES)) return DROP_MALFORMED;
  copy_mac(arp.source, outer.mac);
  replace_mac(arp.destination, inner.gateway_mac, outer.gateway_mac);
  copy_mac(arp.sender_mac, outer.mac);
  replace_halves(arp.sender_ip, inner.ip, outer.ip);
  replace_mac(arp.target_mac, inner.gateway_mac, outer.gateway_mac);
  // Of itself it speaks when it announces its address.
  replace_halves(arp.target_ip, inner.ip, outer.ip);
  replace_halves(arp.target_ip, inner.gateway, outer.gateway);
  return bpf_skb_store_bytes(skb, 0, arp.destination, ARP_FRAME_BYTES, 0) ? DROP_UNTRANSLATABLE
                                                                          : ACCEPTED;
}

// What reaches a translated guest: IPv4 for its address or for everybody, and ARP that asks for it
// or answers it. The bridge floods who-has for others to ports that are not isolated.
static __always_inline __u32 judge_arriving(struct __sk_buff* skb, const struct lease* lease) {
  if (is_tagged(skb)) return DROP_GATE_FOREIGN;
  pull(skb, IPV4_HEADERS_BYTES);
  const struct ethhdr* ethernet = (void*)(long)skb->data;
  const struct iphdr* ip = (void*)(ethernet + 1);
  if ((void*)(ip + 1) > (void*)(long)skb->data_end) return DROP_GATE_MALFORMED;
  int is_group = ethernet->h_dest[0] & 1;
  if (!is_group && !same_mac(ethernet->h_dest, lease->mac)) return DROP_GATE_FOREIGN;
  if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
    if (ip->version != 4 || ip->ihl < 5) return DROP_GATE_MALFORMED;
    return is_group || ip->daddr == lease->ip ? ACCEPTED : DROP_GATE_FOREIGN;
  }
  if (ethernet->h_proto != bpf_htons(ETH_P_ARP)) return DROP_GATE_FOREIGN;
  pull(skb, ARP_FRAME_BYTES);
  const struct arp_ipv4* arp = (void*)(long)skb->data + ETH_HLEN;
  if ((void*)(arp + 1) > (void*)(long)skb->data_end) return DROP_GATE_MALFORMED;
  return is_ipv4_arp(arp) && arp->target_ip == lease->ip ? ACCEPTED : DROP_GATE_FOREIGN;
}

static __always_inline __u32 translate_to_guest(struct __sk_buff* skb, const struct lease* lease,
                                                const struct settings* net) {
  const struct identity inner = inner_of(lease);
  const struct identity outer = outer_of(lease, net);
  struct ipv4_headers headers;
  if (bpf_skb_load_bytes(skb, 0, headers.destination, IPV4_HEADERS_BYTES))
    return DROP_GATE_MALFORMED;
  if (headers.type == bpf_htons(ETH_P_IP)) {
    replace_mac(headers.destination, outer.mac, inner.mac);
    replace_mac(headers.source, outer.gateway_mac, inner.gateway_mac);
    return translate_ipv4(skb, &headers, &outer, &inner, 0);
  }
  struct arp_frame arp;
  if (bpf_skb_load_bytes(skb, 0, arp.destination, ARP_FRAME_BYTES)) return DROP_GATE_MALFORMED;
  replace_mac(arp.destination, outer.mac, inner.mac);
  replace_mac(arp.source, outer.gateway_mac, inner.gateway_mac);
  replace_mac(arp.sender_mac, outer.gateway_mac, inner.gateway_mac);
  replace_halves(arp.sender_ip, outer.gateway, inner.gateway);
  replace_mac(arp.target_mac, outer.mac, inner.mac);
  replace_halves(arp.target_ip, outer.ip, inner.ip);
  return bpf_skb_store_bytes(skb, 0, arp.destination, ARP_FRAME_BYTES, 0) ? DROP_UNTRANSLATABLE
                                                                          : ACCEPTED;
}

#endif  // FORKNET_BPF_TRANSLATE_BPF_H_
