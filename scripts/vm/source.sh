# source.sh - the kernel's source. Sourced after kernel.sh.
# shellcheck shell=bash

vm_source=$vm_dir/linux-source-6.1

# Unpacks Debian's linux-source-6.1 once: 140 MB to fetch, 1.3 GB unpacked.
fetch_source() {
  [[ -e $vm_source/ready ]] && return 0
  local package=linux-source-6.1
  echo "vm: fetching $package"
  rm -rf -- "$vm_source"
  (
    cd "$work_dir"
    apt-get -qq download "$package" || { apt-get -qq update && apt-get -qq download "$package"; }
  ) >"$work_dir/fetch.log" 2>&1 || {
    cat "$work_dir/fetch.log" >&2
    die "$package cannot be fetched"
  }
  dpkg-deb --fsys-tarfile "$work_dir"/"$package"_*.deb | tar -x -C "$work_dir" --wildcards './usr/src/*.tar.xz'
  tar -xf "$work_dir/usr/src/$package.tar.xz" -C "$vm_dir"
  touch "$vm_source/ready"
}
