#!/bin/bash
# lint.sh - checks the kernel module's source: checkpatch.pl and sparse, both must be silent. No arguments.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/children.sh
source "$root/scripts/lib/children.sh"
# shellcheck source=vm/kernel.sh
source "$root/scripts/vm/kernel.sh"
# shellcheck source=vm/source.sh
source "$root/scripts/vm/source.sh"

case ${1:-} in
  '') ;;
  --help | -h) sed -n '2s/^# //p' "$0" && exit 0 ;;
  *) echo "lint.sh: no arguments, please" >&2 && exit 2 ;;
esac

command -v sparse >/dev/null || die "sparse is missing: apt-get install sparse"
make_work_dir
cd "$work_dir" # checkpatch leaves a cache where it is called
find_kernel || die "the kernel headers are missing: run scripts/setup.sh"
mkdir -p "$vm_dir"
with_lock "$vm_dir" fetch_source

# Lines are as long as everywhere in the project; the header for user space has the compilers' own words, not Linux's.
checks=(--no-tree --strict --quiet --no-summary --max-line-length=120
  --ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON,PREFER_DEFINED_ATTRIBUTE_MACRO,CAMELCASE --file)
status=0
run perl "$vm_source/scripts/checkpatch.pl" --root="$vm_source" "${checks[@]}" "$root"/ksched/*.[ch] || status=1

cp -r "$root/ksched" "$work_dir/ksched"
# Called as dkms does it, which sets KERNELRELEASE.
run make -C "$work_dir/ksched" KERNELRELEASE="$vm_version" KDIR="$vm_headers" C=2 W=1 CF="-Wno-sparse-error" >"$work_dir/sparse.log" 2>&1 || status=1
if grep -E "ksched/[a-z_]*\.[ch]:[0-9]+.*(warning|error)" "$work_dir/sparse.log"; then status=1; fi
((status == 0)) && echo "lint: clean"
exit "$status"
