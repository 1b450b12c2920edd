# qemu.sh - boots a guest. Sourced after lib/children.sh; needs `work_dir`.
# shellcheck shell=bash
#
# TCG, never KVM: every machine can do it, and the instruction counts are the same everywhere. Nothing is shared with
# the machine outside but files and sockets in the work directory.

# describe_guest NAME KERNEL IMAGE: sets `guest`, the command that runs it; more may be added. The console goes to
# $work_dir/NAME.console, the status to $work_dir/NAME.status. Reads cpus, memory_mb, icount, time_s.
describe_guest() {
  local name=$1 kernel=$2 image=$3 accel=tcg,thread=multi cpu=max kernel_arguments=
  # Instructions are counted where one thread runs all CPUs.
  if ((icount)); then
    accel=tcg,thread=single
    # An instruction is a nanosecond, so the kernel need not find out how fast it is. One CPU: while the kernel waits for
    # another one at its start it spins without a pause, and qemu (before 8.1) gives all time there is to the first CPU
    # that has a use for it. Whoever needs more brings them up (tests/vm/count.cc).
    kernel_arguments="tsc_early_khz=1000000 tsc=reliable lpj=4000000 maxcpus=1"
    # Of a family whose idle loop has no bug to work around, and halts: qemu's MWAIT spins.
    cpu=max,family=25,model=1,stepping=1,-monitor
  fi
  # no_timer_check: on a busy machine the timer is late at the check that the kernel makes early, and it would give up.
  guest=(timeout --kill-after=2 "$time_s" qemu-system-x86_64
    -machine q35 -accel "$accel" -cpu "$cpu" -smp "$cpus" -m "$memory_mb"
    -nodefaults -no-user-config -display none -no-reboot
    -kernel "$kernel" -initrd "$image"
    -append "console=ttyS0,115200 panic=-1 oops=panic intel_iommu=on iommu=pt random.trust_cpu=on no_timer_check quiet loglevel=6 $kernel_arguments"
    -device intel-iommu,intremap=on
    -serial "file:$work_dir/$name.console")
  ((icount == 0)) || guest+=(-icount shift=0,sleep=off)
}

# nic ID MAC SLOT NETDEV: a virtio NIC on one end of a cable, which is qemu's NETDEV.
nic() {
  guest+=(-netdev "$4,id=$1"
    -device "virtio-net-pci,netdev=$1,mac=$2,addr=$3,disable-legacy=on,iommu_platform=on")
}

# Both ends of the cable are in one guest: a hub in qemu. No sockets: a `stream` server and its client in one process
# listen and connect in a thread each, and a client that is first is refused for good (qemu 7.2 does not connect again):
# a cable that is cut with its link up, in 3 of 40 starts.
nics_on_a_hub() {
  nic n0 52:54:00:00:00:01 0x10 hubport,hubid=0
  nic n1 52:54:00:00:00:02 0x11 hubport,hubid=0
}

# The guest is one of two, SERVER|CLIENT, which are joined by two cables. The client may start when cables_listen.
nics_on_cables() {
  local server=on machine=00
  [[ $1 == server ]] || server=off machine=01
  nic n0 "52:54:00:00:$machine:01" 0x10 "stream,server=$server,addr.type=unix,addr.path=$work_dir/cable0"
  nic n1 "52:54:00:00:$machine:02" 0x11 "stream,server=$server,addr.type=unix,addr.path=$work_dir/cable1"
}

# The file of a socket is there before anybody listens on it; the kernel's list has the flag of one that does.
cables_listen() {
  local cable
  for cable in "$work_dir"/cable{0,1}; do
    awk -v path="$cable" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' /proc/net/unix || return 1
  done
}

# Prints the status that a guest left; no status means that it died or ran out of time.
guest_status() {
  local status
  read -r status <"$work_dir/$1.status" 2>/dev/null || true
  [[ ${status:-} =~ ^[0-9]+$ ]] || status=255
  echo "$status"
}

# What must not be seen on a console. One pattern a line.
trouble='BUG:|WARNING:|Call Trace:|stall|Oops|general protection|soft lockup|hung task|blocked for more than|KASAN|kmemleak: .* new suspected|INFO: possible|INFO: task|INFO: rcu'

# False if the guest's kernel complained; then shows it.
console_is_clean() {
  local console=$work_dir/$1.console
  grep -qE "$trouble" "$console" || return 0
  grep -nE -B2 -A30 "$trouble" "$console" | head -120 >&2
  return 1
}
