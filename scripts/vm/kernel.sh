# kernel.sh - the guest's kernel. Sourced after lib/children.sh; needs `root`.
# shellcheck shell=bash
#
# It is Debian's, of the version whose headers are installed. setup.sh fetches the package and unpacks it into build/vm;
# it is never installed: nothing here changes how this machine boots.

vm_dir=$root/build/vm

# Sets vm_version, vm_headers, vm_image and vm_kernel; false if the headers are not installed.
find_kernel() {
  local headers
  headers=$(find /lib/modules -maxdepth 1 -name '*-cloud-amd64' 2>/dev/null | sort -V | tail -1)
  vm_version=${headers##*/}
  vm_headers=$headers/build
  vm_image=$vm_dir/$vm_version
  vm_kernel=$vm_image/boot/vmlinuz-$vm_version
  [[ -n $headers ]]
}

have_kernel() { find_kernel && [[ -e $vm_image/ready ]]; }

# Unpacks the kernel of the headers that are installed, if that has not been done; one at a time.
fetch_kernel() {
  have_kernel && return 0
  [[ -n $vm_version ]] || die "the kernel headers are missing: apt-get install linux-headers-cloud-amd64"
  local package=linux-image-$vm_version new=$vm_dir/new
  echo "fetching $package, for virtual machines"
  rm -rf -- "$new" "$vm_image"
  mkdir -p "$new" "$work_dir/kernel"
  (
    cd "$work_dir/kernel"
    apt-get -qq download "$package" || { apt-get -qq update && apt-get -qq download "$package"; }
  ) >"$work_dir/kernel/log" 2>&1 || {
    cat "$work_dir/kernel/log" >&2
    die "$package cannot be fetched; if there is a newer one: apt-get install linux-headers-cloud-amd64"
  }
  dpkg-deb -x "$work_dir/kernel/$package"_*.deb "$new"
  depmod -b "$new" "$vm_version"
  touch "$new/ready"
  mv "$new" "$vm_image"
}
