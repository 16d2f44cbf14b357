#!/usr/bin/env bash
# Records what ip, bridge and tc of iproute2 send, as fixtures for test/encode: runs each command under strace
# in a network and mount namespace of its own and writes test/encode/golden/*.json. Needs root, iproute2,
# strace, clang and bpftool (Debian: iproute2 strace clang bpftool).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "${1:-}" != inside ]; then
  exec unshare --net --mount "$0" inside
fi

work=$(mktemp -d)
trap 'umount "$work/bpf" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/bpf"
mount -t bpf bpf "$work/bpf"

# Fixed indexes, so that the bytes do not depend on what this machine did before. Any link may be a port.
ip link add br0 index 10 type bridge
ip link add ifb0 index 20 type ifb
ip link add ifb1 index 30 type ifb
ip link add ifb2 index 40 type ifb
ip link set ifb1 master br0
ip addr add 10.0.0.254/24 dev br0
ip link set br0 up
tc qdisc add dev ifb0 root handle 1: htb default fff
tc class add dev ifb0 parent 1: classid 1:1 htb rate 10gbit quantum 60000
tc class add dev ifb0 parent 1:1 classid 1:a1 htb rate 10mbit quantum 60000
printf '__attribute__((section("classifier"))) int probe(void *context) { return 0; }\n' |
  clang -O2 -target bpf -x c -c -o "$work/probe.o" -
bpftool prog load "$work/probe.o" "$work/bpf/probe" type classifier
tc qdisc add dev ifb1 clsact

: >"$work/records"

# record AREA NAME COMMAND...  A command that the kernel refuses has sent its bytes all the same.
record() {
  local area=$1 name=$2
  shift 2
  strace -f -qq -o "$work/trace" -e trace=sendmsg,sendto -e write=all -s 65535 "$@" >/dev/null 2>&1 || true
  {
    echo "@ $area $name"
    echo "\$ ${*//$work\/bpf\//}"
    grep -E '^([0-9]+ +)?(sendmsg|sendto)|^ \| ' "$work/trace"
  } >>"$work/records"
}

record link create-bridge ip link add name br7 address 02:00:0a:00:00:01 mtu 1400 txqueuelen 500 type bridge mcast_snooping 0 vlan_filtering 0
record link create-bridge-plain ip link add name br8 type bridge
record link create-ifb ip link add name ifb7 txqueuelen 77 type ifb
record link set-master ip link set dev ifb2 master br0
record link set-nomaster ip link set dev ifb2 nomaster
record link set-up ip link set dev ifb2 up
record link set-down ip link set dev ifb2 down
record link set-group ip link set dev ifb2 group 4242
record link set-alias ip link set dev ifb2 alias "forknet vm-1"
record link clear-alias ip link set dev ifb2 alias ""
record link set-txqueuelen ip link set dev ifb2 txqueuelen 500
record link set-mtu ip link set dev ifb2 mtu 1400
record link set-mac ip link set dev ifb2 address 02:00:0a:00:00:07
record link set-addrgenmode ip link set dev ifb2 addrgenmode none
record link set-name ip link set dev ifb2 name ifb9
record link delete ip link delete dev ifb9
record link delete-group ip link delete group 4242

record port isolate bridge link set dev ifb1 isolated on learning off flood off mcast_flood off bcast_flood off
record port release bridge link set dev ifb1 isolated off learning on
record port forward bridge link set dev ifb1 state 3

record neighbor fdb-add bridge fdb add 02:00:0a:00:00:07 dev ifb1 master static
record neighbor fdb-delete bridge fdb del 02:00:0a:00:00:07 dev ifb1 master
record neighbor set ip neigh replace 10.0.0.7 lladdr 02:00:0a:00:00:07 dev br0 nud permanent
record neighbor delete ip neigh del 10.0.0.7 dev br0
record neighbor table ip ntable change name arp_cache dev br0 mcast_probes 0

record address add ip addr add 10.0.0.1/24 brd + dev br0
record address add-30 ip addr add 10.9.0.1/30 brd + dev br0
record address add-31 ip addr add 10.1.0.0/31 dev br0
record address delete ip addr del 10.0.0.1/24 dev br0

record route add-gateway ip route add 10.8.0.0/13 via 10.0.0.2 dev br0
record route add-link ip route add 10.7.0.0/16 dev br0
record route add-default ip route add default via 10.0.0.2 dev br0

record qdisc tbf-add tc qdisc add dev ifb1 root handle 1: tbf rate 100mbit burst 200000b limit 1000000b
record qdisc tbf-change tc qdisc change dev ifb1 root handle 1: tbf rate 3mbit burst 1540b limit 20000b
record qdisc tbf-replace tc qdisc replace dev ifb1 root handle 1: tbf rate 1gbit burst 2000000b limit 8000000b
record qdisc tbf-64bit tc qdisc replace dev ifb1 root handle 1: tbf rate 100gbit burst 2000000b limit 80000000b
record qdisc tbf-parent tc qdisc add dev ifb0 parent 1:a1 handle a1: tbf rate 100mbit burst 200000b limit 1000000b
record qdisc htb-add tc qdisc add dev br0 root handle 1: htb default fff
record qdisc htb-replace tc qdisc replace dev br0 root handle 2: htb default 10
record qdisc clsact-add tc qdisc add dev br0 clsact
record qdisc clsact-replace tc qdisc replace dev br0 clsact
record qdisc bfifo-add tc qdisc add dev ifb0 parent 1:a1 handle a2: bfifo limit 300000b
record qdisc bfifo-change tc qdisc change dev ifb0 parent 1:a1 handle a2: bfifo limit 400000b
record qdisc bfifo-replace tc qdisc replace dev ifb0 parent 1:a1 handle a3: bfifo limit 300000b
record qdisc fq-codel-replace tc qdisc replace dev ifb0 parent 1:a1 handle a4: fq_codel memory_limit 1000000b
record qdisc blackhole-add tc qdisc add dev ifb0 parent 1:a1 handle a5: blackhole
record qdisc blackhole-replace tc qdisc replace dev ifb0 parent 1:a1 handle a6: blackhole
record qdisc delete-root tc qdisc del dev ifb1 root
record qdisc delete-leaf tc qdisc del dev ifb0 parent 1:a1 handle a6:
record qdisc delete-clsact tc qdisc del dev br0 clsact

record class add tc class add dev ifb0 parent 1:1 classid 1:a0 htb rate 10mbit ceil 40mbit burst 6600b cburst 21600b quantum 60000
record class change tc class change dev ifb0 parent 1:1 classid 1:a0 htb rate 20mbit ceil 40mbit burst 11600b cburst 21600b quantum 60000
record class replace tc class replace dev ifb0 parent 1:1 classid 1:a0 htb rate 3mbit ceil 3mbit burst 1600b cburst 1600b quantum 1514
record class slow tc class add dev ifb0 parent 1:1 classid 1:a3 htb rate 8bit ceil 8bit burst 1600b cburst 1600b quantum 1514
record class below-64bit tc class add dev ifb0 parent 1:1 classid 1:a4 htb rate 34359738360bit ceil 34359738360bit burst 65536b cburst 65536b quantum 60000
record class at-64bit tc class add dev ifb0 parent 1:1 classid 1:a5 htb rate 34359738360bit ceil 34359738368bit burst 65536b cburst 65536b quantum 60000
record class above-64bit tc class add dev ifb0 parent 1:1 classid 1:a6 htb rate 100gbit ceil 100gbit burst 2000000b cburst 2000000b quantum 200000
record class delete tc class del dev ifb0 classid 1:a0

record filter add tc filter add dev ifb1 ingress protocol all prio 1 handle 1 bpf direct-action object-pinned "$work/bpf/probe"
record filter add-classid tc filter add dev ifb1 egress protocol all prio 2 handle 1 bpf direct-action object-pinned "$work/bpf/probe" classid 1:
record filter change tc filter change dev ifb1 ingress protocol all prio 1 handle 1 bpf direct-action object-pinned "$work/bpf/probe"
record filter replace tc filter replace dev ifb1 ingress protocol all prio 1 handle 1 bpf direct-action object-pinned "$work/bpf/probe"
record filter add-redirect tc filter add dev ifb1 ingress protocol all prio 1 handle 1 bpf object-pinned "$work/bpf/probe" action mirred egress redirect dev ifb0
record filter delete tc filter del dev ifb1 ingress prio 1 handle 1 bpf
record filter delete-priority tc filter del dev ifb1 egress prio 2 bpf

node - "$work/records" "$root/test/encode/golden" "$(ip -V | sed 's/^ip utility, //')" <<'JS'
const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const [records, directory, iproute2] = process.argv.slice(2);

const RTM_GET = 2; // Kinds of rtnetlink messages modulo four: new, delete, get, set.
const areas = new Map();
let current;
let bytes;
function flush() {
  if (bytes?.length > 0 && Buffer.from(bytes).readUInt16LE(4) % 4 !== RTM_GET) {
    // The sequence number is the time of day: without it, two captures are the same file.
    current.messages.push(Buffer.from(bytes).fill(0, 8, 12).toString("hex"));
  }
  bytes = undefined;
}
for (const line of readFileSync(records, "utf8").split("\n")) {
  if (line.startsWith("@ ")) {
    flush();
    const [, area, name] = line.split(" ");
    current = { name, command: "", messages: [] };
    areas.set(area, [...(areas.get(area) ?? []), current]);
  } else if (line.startsWith("$ ")) {
    current.command = line.slice(2);
  } else if (line.startsWith(" | ")) {
    bytes.push(...line.slice(10, 59).trim().split(/\s+/).map((byte) => Number.parseInt(byte, 16)));
  } else {
    flush();
    bytes = [];
  }
}
flush();
mkdirSync(directory, { recursive: true });
for (const [area, recorded] of areas) {
  for (const { name, messages } of recorded) {
    if (messages.length === 0) throw new Error(`${area} ${name}: nothing was sent`);
  }
  // ip first probes with an empty RTM_NEWLINK; what the command asked for comes last.
  const fixtures = Object.fromEntries(
    recorded.map(({ name, command, messages }) => [name, { command, bytes: messages.at(-1) }]),
  );
  writeFileSync(join(directory, `${area}.json`), `${JSON.stringify({ iproute2, fixtures }, null, 2)}\n`);
}
JS
