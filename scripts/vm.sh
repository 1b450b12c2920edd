#!/bin/bash
# vm.sh - runs things in a virtual machine: what needs a kernel module, a PCI NIC, or more CPUs than are here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TEXT'
usage: scripts/vm.sh run [OPTIONS] -- CMD...            run CMD in a guest
       scripts/vm.sh pair [OPTIONS] -- SERVER -- CLIENT run one command in each of two joined guests
       scripts/vm.sh test [--full]                      test ksched, and the whole system on a PCI NIC, in a guest
       scripts/vm.sh kernel-debug [--full]              the tests of ksched under a kernel that watches itself
       scripts/vm.sh count                              instructions of each path of a grant, by ksched and by futex
       scripts/vm.sh --help

The guest is Debian's kernel with busybox and files of yours in /sluice, 4 CPUs, hugepages and two virtio NICs on a
cable (eth0 - eth1; with pair: eth0 - eth0 and eth1 - eth1), emulated instruction by instruction (qemu's TCG). CMD is
run by the guest's shell; its output and exit status come back. Nothing is left behind.

  --cpus N          CPUs, up to 16 (4)
  --memory MB       (1536)
  --hugepages N     of 2 MB (256)
  --time S          then the guest is stopped and the status is 124 (120)
  --file F[:G]      put F into /sluice, or at G; programs bring their libraries. May be repeated
  --icount          count instructions: one thread runs all CPUs, the clock follows the count; one CPU is up, the
                    others can be brought up
  --console         show the guest's console, too
TEXT
}

# shellcheck source=lib/children.sh
source "$root/scripts/lib/children.sh"
# shellcheck source=lib/build.sh
source "$root/scripts/lib/build.sh"
# shellcheck source=vm/kernel.sh
source "$root/scripts/vm/kernel.sh"
# shellcheck source=vm/image.sh
source "$root/scripts/vm/image.sh"
# shellcheck source=vm/source.sh
source "$root/scripts/vm/source.sh"
# shellcheck source=vm/qemu.sh
source "$root/scripts/vm/qemu.sh"

usage_error() {
  echo "vm.sh: $*; see --help" >&2
  exit 2
}

cpus=4 memory_mb=1536 hugepages=256 time_s=120 icount=0 console=0 files=()

# Sets the options above and `rest`, what follows the first "--".
parse_options() {
  rest=()
  while (($#)); do
    case $1 in
      --cpus | --memory | --hugepages | --time)
        [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ || $1${2:-} == --hugepages0 ]] || usage_error "$1 wants a number, not '${2:-}'"
        case $1 in
          --cpus) cpus=$2 ;;
          --memory) memory_mb=$2 ;;
          --hugepages) hugepages=$2 ;;
          --time) time_s=$2 ;;
        esac
        shift
        ;;
      --file)
        [[ -n ${2:-} ]] || usage_error "$1 wants a file"
        files+=("$2") && shift
        ;;
      --icount) icount=1 ;;
      --console) console=1 ;;
      --) shift && rest=("$@") && break ;;
      *) usage_error "unknown argument '$1'" ;;
    esac
    shift
  done
  ((cpus >= 1 && cpus <= 16)) || usage_error "--cpus is 1 to 16"
  ((${#rest[@]})) || usage_error "no command"
}

show_console() { ((!console)) || sed 's/^/console: /' "$work_dir/$1.console" >&2; }

# finish NAME QEMU_STATUS: the exit status of a guest's command, after what qemu and the console had to say.
finish() {
  grep -v 'hub 0 is not connected to host network' "$work_dir/$1.qemu" >&2 || true # so it shall be
  show_console "$1"
  if (($2 == 124 || $2 == 137)); then
    echo "vm.sh: stopped after $time_s s; the console's end:" >&2
    tail -20 "$work_dir/$1.console" >&2
    return 124
  fi
  local status
  status=$(guest_status "$1")
  if [[ ! -s $work_dir/$1.status ]]; then
    echo "vm.sh: the guest died (qemu's status $2); the console's end:" >&2
    tail -40 "$work_dir/$1.console" >&2
  fi
  return "$status"
}

run_guest() {
  parse_options "$@"
  make_image "$work_dir/image" "$hugepages" "${rest[*]}" "${files[@]}"
  describe_guest guest "$vm_kernel" "$work_dir/image"
  guest+=(-chardev stdio,id=out,signal=off -serial chardev:out -serial "file:$work_dir/guest.status")
  nics_on_a_hub
  local status=0
  run "${guest[@]}" 2>"$work_dir/guest.qemu" || status=$?
  finish guest "$status"
}

# Two guests; the server's output comes after the client's, each line marked.
pair_guests() {
  parse_options "$@"
  local server=() client=() word seen=0 status=0 server_pid
  for word in "${rest[@]}"; do
    if [[ $word == -- ]]; then
      seen=1
    elif ((seen)); then
      client+=("$word")
    else
      server+=("$word")
    fi
  done
  ((seen && ${#server[@]} && ${#client[@]})) || usage_error "pair wants two commands"
  make_image "$work_dir/server.image" "$hugepages" "${server[*]}" "${files[@]}"
  make_image "$work_dir/client.image" "$hugepages" "${client[*]}" "${files[@]}"

  describe_guest server "$vm_kernel" "$work_dir/server.image"
  guest+=(-serial "file:$work_dir/server.out" -serial "file:$work_dir/server.status")
  nics_on_cables server
  set -m
  "${guest[@]}" </dev/null 2>"$work_dir/server.qemu" &
  server_pid=$!
  set +m
  until cables_listen; do
    kill -0 "$server_pid" 2>/dev/null || { cat "$work_dir/server.qemu" >&2 && die "the server's guest does not start"; }
    run sleep 0.05
  done
  describe_guest client "$vm_kernel" "$work_dir/client.image"
  guest+=(-chardev stdio,id=out,signal=off -serial chardev:out -serial "file:$work_dir/client.status")
  nics_on_cables client
  run "${guest[@]}" 2>"$work_dir/client.qemu" || status=$?
  finish client "$status" || status=$?
  # The server ends by itself, or not: its work is done. What it had to say comes next.
  kill -TERM "$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  sed 's/^/server: /' "$work_dir/server.out"
  show_console server
  return "$status"
}

# build_module KERNEL [DEBUG]: a copy of the source, with its invariants checked if DEBUG is 1; prints nothing unless it
# fails.
build_module() {
  local to=$vm_dir/ksched
  mkdir -p "$to"
  cp "$root"/ksched/*.[ch] "$root/ksched/Makefile" "$to/"
  run make -C "$to" KDIR="$1" KSCHED_DEBUG="${2:-}" >"$work_dir/module.log" 2>&1 || {
    cat "$work_dir/module.log" >&2
    die "the module does not build"
  }
}

# Debian's source with KASAN, lock proving, atomic-sleep checks and kmemleak; a quarter of an hour to build, once.
build_debug_kernel() {
  local config=$root/scripts/vm/kernel-debug.config log=$vm_dir/kernel-debug.log
  fetch_source
  cmp -s "$config" "$vm_source/.config.from" && [[ -e $vm_source/arch/x86/boot/bzImage ]] && return 0
  echo "vm: building the kernel, see $log"
  run make -C "$vm_source" allnoconfig "KCONFIG_ALLCONFIG=$config" >"$log" 2>&1 &&
    run make -C "$vm_source" "-j$(nproc)" bzImage modules >>"$log" 2>&1 || die "the kernel does not build: $log"
  cp "$config" "$vm_source/.config.from"
}

debug_locked() {
  build_debug_kernel
  build_module "$vm_source" 1
  # It has neither network drivers nor modules of its own: the tests of ksched alone.
  vm_version=none
  guest_modules=()
  memory_mb=3072
  local tests=("${programs[@]:0:3}")
  test_guest "$vm_source/arch/x86/boot/bzImage" "${tests[@]/#/$vm_bin/}"
}

programs=(ksched_grant_test ksched_life_test ksched_abuse_test iokerneld sluicectl synthetic)

# test_guest KERNEL FILE...: runs the tests in a guest; their noise goes to a log. True if all passed.
test_guest() {
  local kernel=$1 status=0 passed failed command="sh /sluice/guest.sh"
  shift
  [[ -z ${SLUICE_TEST_FULL:-} ]] || command="SLUICE_TEST_FULL=1 $command"
  make_image "$work_dir/image" "$hugepages" "$command" "$vm_dir/ksched/ksched.ko" "$root/tests/vm/guest.sh" "$@"
  describe_guest guest "$kernel" "$work_dir/image"
  guest+=(-serial "file:$work_dir/guest.out" -serial "file:$work_dir/guest.status")
  nics_on_a_hub
  run "${guest[@]}" 2>"$work_dir/guest.qemu" || status=$?
  sed -i 's/\r$//' "$work_dir/guest.out"
  cat "$work_dir/guest.out" "$work_dir/guest.qemu" "$work_dir/guest.console" >"$vm_dir/test.log"

  sed -nE 's/^\[ +OK \] ([^ ]+).*/ok      \1/p; s/^\[ +FAILED +\] ([^ ]+) \(.*/FAILED  \1/p' "$work_dir/guest.out"
  passed=$(grep -cE '^\[ +OK \] ' "$work_dir/guest.out" || true)
  failed=$(grep -cE '^\[ +FAILED +\] [^ ]+ \(' "$work_dir/guest.out" || true)
  if ((failed)) || ! finish guest "$status"; then
    ((failed)) || failed=1
    grep -vE '^\[ +(OK|RUN) ' "$work_dir/guest.out" | tail -100 >&2
  fi
  if console_is_clean guest; then
    echo "ok      Console.is_clean"
    passed=$((passed + 1))
  else
    echo "FAILED  Console.is_clean"
    failed=$((failed + 1))
  fi
  echo "log: $vm_dir/test.log"
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

# Of `test` and `kernel-debug`: which of the two is $1.
test_command() {
  local locked=test_locked
  [[ $1 == test ]] || locked=debug_locked
  shift
  while (($#)); do
    case $1 in
      --full) export SLUICE_TEST_FULL=1 ;;
      *) usage_error "unknown argument '$1'" ;;
    esac
    shift
  done
  time_s=600
  [[ -z ${SLUICE_TEST_FULL:-} ]] || time_s=5400
  [[ $locked == test_locked ]] || time_s=3600
  if [[ -z ${SLUICE_BIN:-} ]]; then build release "${programs[@]}" >/dev/null; fi
  with_lock "$vm_dir" "$locked"
}

count_command() {
  (($# == 0)) || usage_error "unknown argument '$1'"
  if [[ -z ${SLUICE_BIN:-} ]]; then build release ksched_count >/dev/null; fi
  with_lock "$vm_dir" count_locked
}

# The module that users load, on three CPUs.
count_locked() {
  build_module "$vm_headers"
  run_guest --icount --cpus 3 --hugepages 0 --time 1200 --file "$vm_dir/ksched/ksched.ko" --file "$vm_bin/ksched_count" \
    -- "insmod /sluice/ksched.ko && ksched_count"
}

test_locked() {
  build_module "$vm_headers" 1
  test_guest "$vm_kernel" "${programs[@]/#/$vm_bin/}"
}

# What setup.sh brings. Status 77: ctest takes it for a test that this machine cannot run.
need_tools() {
  local tool
  for tool in qemu-system-x86_64 busybox cpio modprobe; do
    command -v "$tool" >/dev/null || { echo "vm.sh: $tool is missing: run scripts/setup.sh" >&2 && exit 77; }
  done
  have_kernel || die "the guest's kernel is not there: run scripts/setup.sh"
}

case ${1:-} in
  --help | -h) usage && exit 0 ;;
  run | pair | test | kernel-debug | count) ;;
  *) usage_error "unknown command '${1:-}'" ;;
esac
need_tools
make_work_dir
command=$1
shift
case $command in
  run) run_guest "$@" ;;
  pair) pair_guests "$@" ;;
  test | kernel-debug) test_command "$command" "$@" ;;
  count) count_command "$@" ;;
esac
