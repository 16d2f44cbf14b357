// What lies in the kernel maps: the lease table, the settings and the drop counters. Plain C, so
// that the BPF programs and C++ read the same definitions; src/ encodes and decodes the same
// offsets. Addresses and masks are in network byte order, everything else in the host's.
#ifndef FORKNET_BPF_LAYOUT_H_
#define FORKNET_BPF_LAYOUT_H_

#include <linux/types.h>

#ifdef __cplusplus
#define FORKNET_ASSERT static_assert
namespace forknet {
#else
#define FORKNET_ASSERT _Static_assert
#endif

enum {
  LEASE_VERSION = 2,
  LEASES_MAX = 65536,
  DROPS_MAX = 16,
};

enum lease_flags {
  LEASE_BLOCKED = 1,     // the guest neither sends nor receives; set while it waits for limits
  LEASE_TRANSLATED = 2,  // the guest believes to be guest_ip and guest_mac
};

enum settings_flags {
  SETTINGS_ISOLATED = 1,  // guests of the subnet do not reach each other through the gateway either
  SETTINGS_MIRRORED = 2,  // the guard's filter brings frames to the shaper, not the program
  // For guards that judge pending checksums by helpers, where these were tried and do not work:
  SETTINGS_PENDING_DROPPED = 4,   // every frame with a pending checksum is dropped
  SETTINGS_PENDING_ACCEPTED = 8,  // every one passes, wherever its checksum will be written
};

// `leases`: hash, key = ifindex of the TAP (u32). The texts are padded with NULs and not terminated
// at full length.
struct lease {
  __u32 version;  // LEASE_VERSION; a lease of another version counts as none
  __u32 flags;
  __u8 mac[6];
  __u16 class_minor;  // HTB class on the shaper; 0 is no class, and classify drops it
  __be32 ip;
  __u32 generation;
  __u64 created_ms;
  __u64 download_bits;
  __u64 upload_bits;
  __u64 upload_ceil_bits;
  __u64 created_boot_ms;  // CLOCK_BOOTTIME; 0: not known, as earlier releases write it
  char id[64];
  char name[64];
  char group[64];  // zeros: in none. For the host only, no program reads it
  // With LEASE_TRANSLATED: the identity in the guest's memory. Otherwise zero.
  __be32 guest_ip;
  __be32 guest_gateway;
  __u8 guest_mac[6];
  __u8 guest_gateway_mac[6];
  // Who may open the TAP, for the host only; 0: nobody of its own, what holds for the network does.
  __u32 tap_uid_plus_1;
  __u32 tap_gid_plus_1;
  __u32 reserved2;  // zero
};

// `settings`: array of one. Zeroed, as the kernel makes it, nothing passes.
struct settings {
  __be32 subnet;
  __be32 mask;
  __be32 gateway;
  __u32 shaper_ifindex;
  __u32 flags;
  __u8 gateway_mac[6];  // for the programs that translate
  __u8 reserved[6];
};

// `drops`: per-CPU array of u64 with DROPS_MAX entries; index = why. The order is part of the
// layout: only append.
enum drop_reason {
  DROP_UNARMED = 0,       // no lease, or the network has no shaper yet
  DROP_BLOCKED = 1,       // LEASE_BLOCKED
  DROP_VLAN = 2,          // tagged, whatever is inside
  DROP_MALFORMED = 3,     // shorter than its headers, IP version not 4, header length below 5
  DROP_MAC = 4,           // somebody else's source MAC
  DROP_IP = 5,            // somebody else's source address
  DROP_ARP = 6,           // not Ethernet/IPv4, or it speaks for another address
  DROP_PROTOCOL = 7,      // neither IPv4 nor ARP
  DROP_PEER = 8,          // to another address of the isolated subnet
  DROP_UNCLASSIFIED = 9,  // on the shaper without a lease or without a class
  DROP_GATE_UNARMED = 10,
  DROP_GATE_BLOCKED = 11,
  DROP_GATE_FOREIGN = 12,    // not for this translated guest, or nothing that it speaks
  DROP_GATE_MALFORMED = 13,  // to a translated guest
  DROP_UNTRANSLATABLE = 14,  // either way: a header ends before the checksum to mend
  // The host would write a pending checksum, or cut segments, elsewhere, or cut too many.
  DROP_CHECKSUM = 15,
};

FORKNET_ASSERT(sizeof(struct lease) == 288, "struct lease is 288 bytes");
FORKNET_ASSERT(__builtin_offsetof(struct lease, created_ms) == 24, "struct lease has no holes");
FORKNET_ASSERT(__builtin_offsetof(struct lease, id) == 64, "struct lease has no holes");
FORKNET_ASSERT(__builtin_offsetof(struct lease, guest_ip) == 256, "struct lease has no holes");
FORKNET_ASSERT(__builtin_offsetof(struct lease, tap_uid_plus_1) == 276,
               "struct lease has no holes");
FORKNET_ASSERT(sizeof(struct settings) == 32, "struct settings is 32 bytes");

#ifdef __cplusplus
}  // namespace forknet
#endif
#undef FORKNET_ASSERT

#endif  // FORKNET_BPF_LAYOUT_H_
