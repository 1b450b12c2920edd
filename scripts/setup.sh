#!/bin/bash
# setup.sh - install what building, testing and plotting need, on Debian 12; unpack a kernel for the virtual machines of
# the tests. No arguments, no questions. When everything is there it touches neither the network nor apt. Waits for
# others who hold apt's locks.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/children.sh
source "$root/scripts/lib/children.sh"
# shellcheck source=vm/kernel.sh
source "$root/scripts/vm/kernel.sh"

packages=(
  # build
  build-essential cmake ninja-build pkg-config git
  libdpdk-dev libnuma-dev libspdlog-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libexpected-dev
  libsystemd-dev
  # tests, formatting, fuzzing
  libgtest-dev libgmock-dev libbenchmark-dev clang clang-format clang-tidy libclang-rt-dev
  # a kernel module and a virtual machine to test it in
  linux-headers-cloud-amd64 qemu-system-x86 busybox-static kmod cpio
  # namespaces, demo, experiments, plots
  iproute2 ethtool iputils-ping python3 python3-matplotlib
)

# Sets `wanted` to those that are not installed.
find_missing() {
  local installed package
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
  wanted=()
  for package in "${packages[@]}"; do
    grep -qx "ii[ ]* $package" <<<"$installed" || wanted+=("$package")
  done
}

# DPkg::Lock::Timeout covers dpkg's own lock; for apt's other locks, and for dpkg --configure, try again.
retry() {
  local tries
  for ((tries = 0; tries < 300; ++tries)); do
    if run "$@" >"$work_dir/log" 2>&1; then return 0; fi
    grep -qE 'Could not get lock|is locked by|lock-frontend|frontend lock' "$work_dir/log" || break
    ((tries)) || echo "setup: waiting for the package manager's lock"
    run sleep 2
  done
  cat "$work_dir/log" >&2
  return 1
}

command -v dpkg-query >/dev/null || die "this needs Debian 12 (dpkg-query is not there); install by hand: ${packages[*]}"
find_missing
if ((${#wanted[@]} == 0)) && have_kernel; then exit 0; fi
((EUID == 0 || ${#wanted[@]} == 0)) || die "these packages are missing and only root can install them: ${wanted[*]}"

make_work_dir
export TMPDIR=$work_dir # apt leaves files there when it is interrupted
install() {
  # An installation that was cut off earlier must be finished first.
  [[ -z $(dpkg --audit 2>/dev/null) ]] || retry dpkg --configure -a --force-confold
  find_missing
  if ((${#wanted[@]} == 0)); then return 0; fi
  echo "setup: installing ${wanted[*]}"
  retry apt-get -qq update || echo "setup: apt-get update failed; trying with the lists at hand" >&2
  retry apt-get -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confold install "${wanted[@]}" || die "could not install: ${wanted[*]}"
}

export DEBIAN_FRONTEND=noninteractive
with_lock "$root/scripts" install
find_missing
((${#wanted[@]} == 0)) || die "still missing after the installation: ${wanted[*]}"
with_lock "$root/scripts" fetch_kernel
echo "setup: done"
