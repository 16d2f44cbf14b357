#!/usr/bin/env bash
# Records this kernel's replies as the first inputs of the fuzz targets: native/fuzz/corpus. Runs in a network and
# mount namespace of its own. Needs root, iproute2, nftables, clang and bpftool (packages of these names in Debian), and
# the targets built by `npm run fuzz`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "${1:-}" != inside ]; then
  exec unshare --net --mount "$0" inside
fi

work=$(mktemp -d)
trap 'umount "$work/bpf" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/bpf"
mount -t bpf bpf "$work/bpf"

# One of everything that forknet makes, and some that others make.
ip link set lo up
ip link add br0 index 10 address 02:00:0a:00:00:01 type bridge mcast_snooping 0
ip link add ifb0 index 20 address 02:00:0a:00:00:02 type ifb
ip link add veth0 index 30 address 02:00:0a:00:00:03 type veth peer name veth1 index 31 address 02:00:0a:00:00:04
ip tuntap add tap0 mode tap vnet_hdr user 1000 group 1000
ip tuntap add tap1 mode tap multi_queue
for tap in tap0 tap1; do
  ip link set $tap address 02:00:0a:00:01:0${tap#tap} alias "forknet vm-$tap" group 4242 txqueuelen 500 master br0 up
done
bridge link set dev tap0 isolated on learning off flood off mcast_flood off bcast_flood on
bridge fdb add 02:00:0a:00:02:01 dev tap0 master static
ip address add 10.0.0.254/24 brd + dev br0
ip link set br0 up
ip link set ifb0 up
ip neighbor replace 10.0.0.7 lladdr 02:00:0a:00:00:07 dev br0 nud permanent
ip route add 10.9.0.0/16 via 10.0.0.7 dev br0
ip route add 10.8.0.0/16 dev br0 table 4000

tc qdisc add dev ifb0 root handle 1: htb default fff
tc class add dev ifb0 parent 1: classid 1:1 htb rate 40gbit quantum 60000
tc class add dev ifb0 parent 1:1 classid 1:a1 htb rate 10mbit ceil 50gbit burst 64k quantum 60000
tc class add dev ifb0 parent 1:1 classid 1:fff htb rate 1mbit quantum 60000
tc qdisc add dev ifb0 parent 1:a1 handle a1: bfifo limit 100000
# Not every kernel has these two.
tc qdisc add dev ifb0 parent 1:fff handle fff: blackhole || true
tc qdisc add dev veth0 root handle 1: fq_codel memory_limit 1m || true
tc qdisc add dev tap0 root handle 1: tbf rate 10mbit burst 64k limit 100k
tc qdisc add dev tap1 root handle 1: tbf rate 40gbit burst 1m limit 1m
tc qdisc add dev veth1 clsact
tc qdisc add dev tap0 clsact
printf '__attribute__((section("classifier"))) int probe(void *context) { return 0; }\n' |
  clang -O2 -target bpf -x c -c -o "$work/probe.o" -
bpftool prog load "$work/probe.o" "$work/bpf/probe" type classifier
tc filter add dev tap0 ingress prio 1 handle 1 bpf da object-pinned "$work/bpf/probe" classid 1:a1
tc filter add dev veth1 egress prio 2 protocol ip u32 match ip dst 10.0.0.1 classid 1:a1

# A rule that asks for the state makes the namespace track flows.
nft 'add table ip probe; add chain ip probe out { type filter hook output priority 0; }'
nft 'add rule ip probe out ct state new counter'
echo one >/dev/udp/127.0.0.1/4242

rm -rf "$work/corpus"
"$root/build/fuzz/capture" "$work/corpus"
for target in "$work/corpus"/*; do
  mkdir -p "$root/native/fuzz/corpus/$(basename "$target")"
  cp "$target"/* "$root/native/fuzz/corpus/$(basename "$target")/"
done
mkdir -p "$root/native/fuzz/corpus/psched"
{
  head -c 12 /dev/zero
  cat /proc/net/psched
} >"$root/native/fuzz/corpus/psched/this-kernel"

# Types as a kernel has them, but few: its own are 6 MB.
cat >"$work/types.c" <<'END'
enum { e = 7, other };
struct s { int a; union { struct { unsigned x:3, m:2; }; long y; }; struct { int n[3]; }; };
typedef struct s t; const volatile t *g; static int h __attribute__((used));
int f(struct s *p) { return p->m + e; }
float fl;
END
clang -g -O2 -target bpf -c "$work/types.c" -o "$work/types.o"
mkdir -p "$root/native/fuzz/corpus/types"
objcopy --dump-section .BTF="$root/native/fuzz/corpus/types/clang" "$work/types.o"
