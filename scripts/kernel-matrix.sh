#!/usr/bin/env bash
# Runs kernel tests on Debian's kernel in a virtual machine whose root is this host's (read-only, through virtiofs),
# so that Node, node_modules and the build are the ones that are tested here. --report writes docs/kernels.md; other arguments are test files; without any, a
# representative part (emulation is slow). 77: QEMU, virtiofsd or the kernel cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

memory=2048M
# Messages and their refusals, programs and maps, and a life from fork to release. What sends through stand-in guests is
# left out: it fails here, and whether by the emulation's pace or by the kernel is not known yet.
report=
[ "${1:-}" = --report ] && { report=1; shift; }
files=("$@")
if [ ${#files[@]} = 0 ]; then
  files=(addon-link addon-tap addon-tc bpf-maps bpf-guard lifecycle)
  files=("${files[@]/#/test/kernel/}")
  files=("${files[@]/%/.test.ts}")
fi

bash scripts/setup.sh --e2e
virtiofsd=$(PATH=$PATH:/usr/lib/qemu:/usr/libexec command -v virtiofsd || true)
if [ -z "$virtiofsd" ] || ! command -v qemu-system-x86_64 >/dev/null; then
  echo "kernel-matrix: there is no QEMU with virtiofsd" >&2
  exit 77
fi
bash scripts/guest-image.sh
[ "${FORKNET_BUILT:-}" = 1 ] || npm run --silent build

guest=$PWD/build/guest
work=$guest/matrix
kernel=$(cat "$guest/kernel")
busybox=$work/busybox/bin/busybox
mkdir -p "$work"
dpkg-deb -x "$guest/packages"/busybox-static_*.deb "$work/busybox"
if [ ! -d "$work/modules/lib/modules" ]; then
  rm -rf "$work/modules"
  dpkg-deb -x "$guest/packages/$kernel"_*.deb "$work/modules"
  # modprobe finds what a module needs in what depmod writes.
  "$busybox" depmod -b "$work/modules" "${kernel#linux-image-}"
fi
rm -rf "$work/tree"
mkdir -p "$work/tree/bin" "$work/tree/modules"
cp "$busybox" "$work/tree/bin/"
cp e2e/guest/matrix-init "$work/tree/init"
chmod +x "$work/tree/init"
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio-rng fuse virtiofs overlay; do
  cp "$(find "$work/modules" -name "$module.ko")" "$work/tree/modules/"
  echo "$module" >>"$work/tree/modules/order"
done
(cd "$work/tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$work/initramfs"

cat >"$work/run" <<END
set -o pipefail
cd $PWD
export PATH=$PATH HOME=/tmp FORKNET_REQUIRE_KERNEL=1
$busybox modprobe -a bridge tun ifb sch_htb sch_tbf sch_ingress cls_bpf act_mirred nf_tables nft_chain_nat nft_masq nft_ct
ip link set lo up
echo "matrix: \$(uname -sr)"
node_modules/.bin/vitest run --project kernel --reporter=default --reporter=json --outputFile.json=/tmp/report.json ${files[*]} | cat
echo "matrix: exit \$?"
cat /tmp/report.json >/dev/ttyS1
sync
echo o >/proc/sysrq-trigger
sleep 10
END

socket=$(mktemp -d)
trap 'rm -rf "$socket"' EXIT
"$virtiofsd" --socket-path="$socket/fs" -o source=/ -o cache=always -o sandbox=chroot >"$work/virtiofsd.log" 2>&1 &
while [ ! -S "$socket/fs" ]; do sleep 0.05; done
rm -f "$work/report.json"
# virtiofsd ends with QEMU.
qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg,thread=multi -cpu max -smp 2 \
  -m "$memory" -object memory-backend-memfd,id=memory,size="$memory",share=on -numa node,memdev=memory \
  -serial stdio -serial file:"$work/report.json" -device virtio-rng-pci \
  -chardev socket,id=fs,path="$socket/fs" -device vhost-user-fs-pci,chardev=fs,tag=host \
  -kernel "$guest/vmlinuz" -initrd "$work/initramfs" \
  -append "console=ttyS0 quiet panic=-1 forknet.work=$work" </dev/null | tee "$work/console.log"
if [ -n "$report" ]; then
  node scripts/kernel-report.mjs "$work/report.json" "$kernel" "npm run test:kernel-matrix -- --report${*:+ $*}"
fi
grep -q '^matrix: exit 0' "$work/console.log"
