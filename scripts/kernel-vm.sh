#!/usr/bin/env bash
# `kernel-vm.sh SERIES META FOLDER FILE...`: runs kernel test files in one virtual machine on Debian's cloud kernel of
# that series (of the package META). The machine's root is this host's, read-only through virtiofs, so that Node,
# node_modules and the build are the ones that are tested here. Leaves in FOLDER `kernel` (the package's name),
# `console.log` and `results.jsonl` (kernel-reporter.mjs). Fails when a test does; 77: the kernel cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/debian-packages.sh

series=$1 meta=$2 folder=$3
shift 3
memory=3072M
# Emulation takes five to twenty times as long: vitest.config.ts and test/support/patience.ts multiply what waits by
# this, and the property tests try fewer cases.
patience=5
cases="FORKNET_GUARD_FRAMES=500 FORKNET_FRAMES=300 FORKNET_INTERLEAVINGS_SECONDS=60"

give_up() {
  echo "kernel-vm: $1" >&2
  exit 77
}
kernel=$(kernel_package "$series" "$meta") || give_up "apt knows no $meta with a $series kernel; run: apt-get update"
kernel_deb=$(package_file "$kernel") || give_up "cannot download $kernel"
busybox_deb=$(package_file busybox-static) || give_up "cannot download busybox-static"
mkdir -p "$folder"
rm -f "$folder/results.jsonl"
echo "$kernel" >"$folder/kernel"

unpacked=$folder/$kernel
busybox=$folder/busybox/bin/busybox
dpkg-deb -x "$busybox_deb" "$folder/busybox"
if [ ! -e "$unpacked/lib/modules/${kernel#linux-image-}/modules.dep" ]; then
  rm -rf "$unpacked"
  dpkg-deb -x "$kernel_deb" "$unpacked"
  # modprobe finds what a module needs in what depmod writes.
  "$busybox" depmod -b "$unpacked" "${kernel#linux-image-}"
fi
rm -rf "$folder/tree"
mkdir -p "$folder/tree/bin" "$folder/tree/modules"
cp "$busybox" "$folder/tree/bin/"
cp e2e/guest/matrix-init "$folder/tree/init"
chmod +x "$folder/tree/init"
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio-rng fuse virtiofs overlay; do
  # What one kernel has as a module another has built in, and newer ones compress them.
  file=$(find "$unpacked/lib/modules" -name "$module.ko*")
  case $file in
    "") continue ;;
    *.xz) xz -dc "$file" >"$folder/tree/modules/$module.ko" ;;
    *) cp "$file" "$folder/tree/modules/" ;;
  esac
  echo "$module" >>"$folder/tree/modules/order"
done
(cd "$folder/tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$folder/initramfs"

# What nft and iptables ask for is loaded when it is asked for, as on any host.
printf '#!/bin/sh\nexec %s modprobe "$@"\n' "$busybox" >"$folder/modprobe"
chmod +x "$folder/modprobe"

cat >"$folder/run" <<END
set -o pipefail
cd $PWD
export PATH=$PATH HOME=/tmp FORKNET_REQUIRE_KERNEL=1 FORKNET_PATIENCE=$patience $cases
$busybox modprobe -a bridge tun ifb sch_htb sch_tbf sch_ingress cls_bpf act_mirred nf_tables nft_chain_nat nft_masq nft_ct
echo $folder/modprobe >/proc/sys/kernel/modprobe
# As udev leaves it, which does not run here.
chmod 0666 /dev/net/tun
ip link set lo up
echo "matrix: \$(uname -sr)"
FORKNET_RESULTS=/dev/ttyS1 node_modules/.bin/vitest run --project kernel --reporter=default \
  --reporter=./scripts/kernel-reporter.mjs $* | cat
echo "matrix: exit \$?"
sync
echo o >/proc/sysrq-trigger
sleep 10
END

socket=$(mktemp -d)
trap 'rm -rf "$socket"' EXIT
virtiofsd=$(PATH=$PATH:/usr/lib/qemu:/usr/libexec command -v virtiofsd)
"$virtiofsd" --socket-path="$socket/fs" -o source=/ -o cache=always -o sandbox=chroot >"$folder/virtiofsd.log" 2>&1 &
while [ ! -S "$socket/fs" ]; do sleep 0.05; done
# virtiofsd ends with QEMU.
qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg,thread=multi -cpu max -smp 2 \
  -m "$memory" -object memory-backend-memfd,id=memory,size="$memory",share=on -numa node,memdev=memory \
  -serial stdio -serial file:"$folder/results.jsonl" -device virtio-rng-pci \
  -chardev socket,id=fs,path="$socket/fs" -device vhost-user-fs-pci,chardev=fs,tag=host \
  -kernel "$unpacked/boot/vmlinuz-${kernel#linux-image-}" -initrd "$folder/initramfs" \
  -append "console=ttyS0 quiet panic=-1 mitigations=off no5lvl forknet.checkout=$PWD forknet.work=$folder forknet.modules=$unpacked/lib/modules" \
  </dev/null | tee "$folder/console.log"
grep -q '^matrix: exit 0' "$folder/console.log"
