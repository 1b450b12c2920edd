# image.sh - the guest's initramfs. Sourced after kernel.sh.
# shellcheck shell=bash

vm_bin=${SLUICE_BIN:-$root/build/release/bin} # where the programs are

# What the guest can load, by name; their dependencies come along.
guest_modules=(virtio_pci virtio_net vfio_pci vfio_iommu_type1 uio_pci_generic veth)
# DPDK loads every driver it finds in its folder. These are all that a guest needs.
dpdk_drivers=(bus_pci bus_vdev net_virtio mempool_ring)

# copy_program ROOT PROGRAM TARGET: stripped, with the libraries it names.
copy_program() {
  local guest=$1 program=$2 target=$3
  mkdir -p "$guest/$(dirname "$target")"
  cp "$program" "$guest/$target"
  strip --strip-debug "$guest/$target" 2>/dev/null || true
  copy_libraries "$guest" "$program"
}

copy_libraries() {
  local guest=$1 library
  while read -r library; do
    [[ -e $guest/$library || -L $guest/$library ]] && continue
    mkdir -p "$guest/$(dirname "$library")"
    cp -L "$library" "$guest/$library"
  done < <(ldd "$2" 2>/dev/null | sed -nE 's,^[^/]*(/[^ ]+) \(0x.*,\1,p')
}

copy_dpdk_drivers() {
  local guest=$1 driver path folder
  folder=$(find /usr/lib/x86_64-linux-gnu/dpdk -maxdepth 1 -name 'pmds-*' | head -1)
  mkdir -p "$guest/$folder"
  # One file by two names, in the folder and where libraries look: loaded twice, DPDK panics.
  for driver in "${dpdk_drivers[@]}"; do
    path=$(find "$folder" -name "librte_$driver.so.*.*") # EAL looks for the full version, programs for the major
    cp "$path" "$guest/$folder/"
    ln -sf "$path" "$guest/usr/lib/x86_64-linux-gnu/$(basename "${path%.*}")"
    copy_libraries "$guest" "$path"
  done
}

copy_modules() {
  local guest=$1 line path
  mkdir -p "$guest/modules"
  for line in "${guest_modules[@]}"; do
    modprobe -d "$vm_image" -S "$vm_version" --show-depends "$line" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++' >"$work_dir/modules"
  while read -r path; do
    cp "$path" "$guest/modules/"
    echo "/modules/${path##*/}"
  done <"$work_dir/modules" >"$guest/modules/list"
}

# make_image FILE HUGEPAGES COMMAND [FILE...]: an initramfs in FILE that runs COMMAND (shell text). The files given,
# as HOST or HOST:GUEST, go to /sluice or to where they say; programs bring their libraries.
make_image() {
  local image=$1 hugepages=$2 command=$3 guest=$work_dir/guest entry
  shift 3
  rm -rf -- "$guest"
  mkdir -p "$guest"/{bin,proc,sys,dev,sluice,lib64,var,usr/lib/x86_64-linux-gnu}
  ln -s usr/lib "$guest/lib"
  ln -s ../run "$guest/var/run"
  cp /bin/busybox "$guest/bin/busybox"
  "$guest/bin/busybox" --install -s "$guest/bin"
  find "$guest/bin" -type l -exec ln -sf busybox {} \;
  cp "$root/scripts/vm/init" "$guest/init"
  printf '%s\n' "$command" >"$guest/command"
  echo "hugepages=$hugepages" >"$guest/settings"
  copy_modules "$guest"
  copy_dpdk_drivers "$guest" # before the programs that bring the same ones as libraries
  copy_program "$guest" /usr/sbin/ethtool bin/ethtool
  for entry in "$@"; do
    local from=${entry%%:*} to=sluice/${entry##*/}
    [[ $entry != *:* ]] || to=${entry#*:}
    [[ -e $from ]] || die "$from is not there"
    copy_program "$guest" "$from" "$to"
  done
  (cd "$guest" && find . -print0 | cpio --null --create --format=newc --quiet --owner=0:0 >"$image")
}
