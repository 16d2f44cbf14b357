// The tc programs that stand between a guest and the host: guard (TAP ingress, what the guest
// sends), gate (TAP egress, what reaches the guest) and classify (root of the shaper's HTB); in a
// network that translates, guard_translate and gate_translate stand for the first two. A guard
// comes in two forms: guard_kfunc for kernels that let it read their sk_buff, guard for others.
// They only read the maps, which are written by the host. Direct action, but for a guard before
// Linux 6.5 (see refuse). Every way out that is not an explicit accept drops and counts.
#include "judge.bpf.h"
#include "pending.bpf.h"
#include "translate.bpf.h"

// Before Linux 6.5 an IFB drops what bpf_redirect brings it: __bpf_tx_skb does not set
// skb->redirected, which ifb_xmit asks for. There the guard's filter is no direct-action one but
// has a mirred that takes every frame to the shaper (SETTINGS_MIRRORED), the refused ones too; what
// tells them apart is the mark in tc_index, which is 0 in a frame that comes from a TAP, and which
// classify drops.
enum { REFUSED = 1 };

static __always_inline int refuse(struct __sk_buff* skb, __u32 reason) {
  skb->tc_index = REFUSED;
  return drop(reason);
}

static __always_inline int pass(const struct settings* net) {
  // Neither a direct-action verdict that lets a frame onto the bridge nor 0, which would not match.
  if (net->flags & SETTINGS_MIRRORED) return TC_ACT_SHOT;
  return bpf_redirect(net->shaper_ifindex, 0);
}

// How a guard judges what a virtio header asks for.
enum way { BY_HELPERS, BY_TYPES };

static __always_inline __u32 judge_pending(struct __sk_buff* skb, const struct settings* net,
                                           enum way way) {
  if (has_too_many_segments(skb)) return DROP_CHECKSUM;
  return way == BY_TYPES ? judge_pending_by_types(skb) : judge_pending_by_helpers(skb, net);
}

// Reads the headers in place: 26 ns a frame in BPF_PROG_TEST_RUN, of which 21 are the look-up of
// the lease; with bpf_skb_load_bytes onto the stack it is 35 ns.
static __always_inline int run_guard(struct __sk_buff* skb, enum way way) {
  const struct settings* net = find_settings();
  const struct lease* lease = find_lease(skb->ifindex);
  __u32 verdict = lease ? judge(skb, lease, lease->mac, lease->ip, net) : DROP_UNARMED;
  // `net` is there when the verdict is ACCEPTED; the verifier wants to read it here.
  if (verdict != ACCEPTED || !net) return refuse(skb, verdict);
  verdict = judge_pending(skb, net, way);
  return verdict == ACCEPTED ? pass(net) : refuse(skb, verdict);
}

static __always_inline int run_guard_translate(struct __sk_buff* skb, enum way way) {
  const struct settings* net = find_settings();
  const struct lease* lease = find_lease(skb->ifindex);
  if (!lease) return refuse(skb, DROP_UNARMED);
  int translated = lease->flags & LEASE_TRANSLATED;
  __u16 mac[ETH_ALEN / 2];
  copy_mac(mac, lease->mac);
  if (translated) {
    // Keeps the compiler from choosing a pointer and copying once: without CAP_PERFMON the kernel
    // refuses a pointer that may be one of two.
    asm volatile("" ::: "memory");
    copy_mac(mac, lease->guest_mac);
  }
  __be32 ip = translated ? lease->guest_ip : lease->ip;
  __u32 verdict = judge(skb, lease, (const __u8*)mac, ip, net);
  if (verdict != ACCEPTED || !net) return refuse(skb, verdict);
  verdict = judge_pending(skb, net, way);
  if (verdict != ACCEPTED) return refuse(skb, verdict);
  if (translated) {
    verdict = translate_from_guest(skb, lease, net);
    if (verdict != ACCEPTED) return refuse(skb, verdict);
    // It was made of the addresses that are no longer there.
    bpf_set_hash_invalid(skb);
  }
  return pass(net);
}

SEC("tc")
int guard(struct __sk_buff* skb) { return run_guard(skb, BY_HELPERS); }

SEC("tc")
int guard_kfunc(struct __sk_buff* skb) { return run_guard(skb, BY_TYPES); }

// Programs of their own, so that the guests of other networks do not even pay for the question.
SEC("tc")
int guard_translate(struct __sk_buff* skb) { return run_guard_translate(skb, BY_HELPERS); }

SEC("tc")
int guard_translate_kfunc(struct __sk_buff* skb) { return run_guard_translate(skb, BY_TYPES); }

SEC("tc")
int gate(struct __sk_buff* skb) {
  const struct lease* lease = find_lease(skb->ifindex);
  if (!lease) return drop(DROP_GATE_UNARMED);
  if (lease->flags & LEASE_BLOCKED) return drop(DROP_GATE_BLOCKED);
  return TC_ACT_OK;
}

SEC("tc")
int gate_translate(struct __sk_buff* skb) {
  const struct lease* lease = find_lease(skb->ifindex);
  if (!lease) return drop(DROP_GATE_UNARMED);
  if (lease->flags & LEASE_BLOCKED) return drop(DROP_GATE_BLOCKED);
  if (!(lease->flags & LEASE_TRANSLATED)) return TC_ACT_OK;
  const struct settings* net = find_settings();
  if (!net) return drop(DROP_GATE_UNARMED);
  __u32 verdict = judge_arriving(skb, lease);
  if (verdict == ACCEPTED) verdict = translate_to_guest(skb, lease, net);
  return verdict == ACCEPTED ? TC_ACT_OK : drop(verdict);
}

// Filters by the TAP the frame came in on, which a redirect keeps.
SEC("tc")
int classify(struct __sk_buff* skb) {
  // Counted where it was refused.
  if (skb->tc_index == REFUSED) return TC_ACT_SHOT;
  const struct lease* lease = find_lease(skb->ingress_ifindex);
  // HTB takes minor 0 as "direct": past every class, unlimited.
  if (!lease || !lease->class_minor) return drop(DROP_UNCLASSIFIED);
  skb->tc_classid = lease->class_minor;
  return TC_ACT_OK;
}

// The kernel lends its functions only to what is also under the GPL.
const char program_license[] SEC("license") = "Dual MIT/GPL";
