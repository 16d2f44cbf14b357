#!/usr/bin/env bash
# Makes build/guest/vmlinuz and build/guest/initramfs, what the guests of `npm run e2e` boot: Debian's cloud kernel
# and busybox, fetched with apt-get and unpacked here (nothing is installed), and e2e/guest/. Packages are kept in
# build/guest/packages. Does nothing when nothing has changed. 77: a tool or a package cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/debian-packages.sh

guest=$PWD/build/guest
# In the order in which they need each other.
modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console failover net_failover virtio_net"

newest_input=$(ls -t e2e/guest/* scripts/guest-image.sh scripts/debian-packages.sh | head -n 1)
if [ -e "$guest/initramfs" ] && [ "$guest/initramfs" -nt "$newest_input" ]; then exit 0; fi

give_up() {
  echo "guest-image: $1" >&2
  exit 77
}

for tool in apt-get dpkg-deb gcc; do
  command -v "$tool" >/dev/null || give_up "there is no $tool"
done
[ "$(uname -m)" = x86_64 ] || give_up "the guests are x86_64, this is $(uname -m)"

# Unpacks a package into a folder of its name.
unpack() {
  local file
  file=$(package_file "$1") || give_up "cannot download $1"
  dpkg-deb -x "$file" "$guest/root/$1"
}

kernel=$(kernel_package 6.1 linux-image-cloud-amd64) || give_up "apt knows no linux-image-cloud-amd64 of 6.1; run: apt-get update"
echo "guest-image: $kernel"
rm -rf "${guest:?}/root"
mkdir -p "$guest/root"
unpack "$kernel"
unpack busybox-static

tree=$guest/root/tree
mkdir -p "$tree/bin" "$tree/modules"
busybox=$guest/root/busybox-static/bin/busybox
cp "$busybox" "$tree/bin/"
cp e2e/guest/init "$tree/init"
chmod +x "$tree/init"
for module in $modules; do
  cp "$(find "$guest/root/$kernel" -name "$module.ko")" "$tree/modules/"
  echo "$module" >>"$tree/modules/order"
done
gcc -O2 -Wall -Wextra -Werror -static -o "$guest/traffic" e2e/guest/traffic.c
cp "$guest/traffic" "$tree/bin/"

cp "$guest/root/$kernel"/boot/vmlinuz-* "$guest/vmlinuz"
echo "$kernel" >"$guest/kernel"
# Written last and moved into place: a run that was cut short leaves no image that looks whole.
(cd "$tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$guest/initramfs.part"
mv "$guest/initramfs.part" "$guest/initramfs"
rm -rf "$guest/root"
