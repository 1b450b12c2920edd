#!/bin/sh
# guest.sh - the tests that run in the guest, one after the other. Prints a line "[  OK ] name" or "[  FAILED ] name"
# for each, as GoogleTest does for its own; everything else is for the log.
nic=0000:00:10.0
failed=0

verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then
    echo "[       OK ] $1 (0 ms)"
  else
    echo "[  FAILED  ] $1 (0 ms)"
    failed=1
  fi
}
check() { # NAME CMD...
  name=$1
  shift
  "$@"
  verdict "$name" "$?"
}
# Until CMD succeeds, 30 s at most.
eventually() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || return 1
    sleep 0.1
  done
}

# The whole system: iokerneld on the first NIC through vfio, Linux on the second, the cable between them.
stat_says() { sluicectl stat | grep -q "$1"; }
load() { # SECONDS: all that was sent came back
  # Each end knows the other's link address first: an iokerneld that has just started keeps few packets meanwhile.
  eventually ping -c 1 -W 2 10.9.0.7 || return 1
  synthetic client --target 10.9.0.7:7000 --rate 200 --flows 16 --seconds "$1" --warmup 0.2 --drain-ms 5000 --cpus 3 \
    >/tmp/load.json && cat /tmp/load.json && grep -q '"lost":0,' /tmp/load.json
}
start_iokerneld() {
  iokerneld --port pci:$nic --address 10.9.0.1/24 --cpu 0 --cores 1-2 "$@" >/tmp/iokerneld.log 2>&1 &
  iokerneld=$!
  eventually grep -q ready /tmp/iokerneld.log || { cat /tmp/iokerneld.log && return 1; }
}
start_server() {
  synthetic server --transport sluice --address 10.9.0.7 --kthreads 2 >/tmp/server.log 2>&1 &
  server=$!
  eventually grep -q serving /tmp/server.log || { cat /tmp/server.log && return 1; }
}

test_system() {
  insmod /sluice/ksched.ko
  echo vfio-pci >/sys/bus/pci/devices/$nic/driver_override
  echo $nic >/sys/bus/pci/drivers/virtio-pci/unbind
  echo $nic >/sys/bus/pci/drivers_probe
  ip addr add 10.9.0.2/24 dev eth1
  ip link set eth1 up
  ethtool -K eth1 tx off

  check System.iokerneld_starts_on_a_pci_nic start_iokerneld
  check System.it_grants_by_ksched stat_says 'grants by ksched'
  check System.it_answers_a_ping eventually ping -c 1 -W 2 10.9.0.1
  check System.an_app_attaches start_server
  check System.nothing_is_lost load 3
  sluicectl stat
  check System.cores_were_granted stat_says 'grants by ksched: .*grants [0-9]'
  kill -9 $server
  wait $server
  check System.a_killed_app_is_forgotten eventually stat_says 'no app is attached'
  check System.another_one_attaches start_server
  check System.and_is_served load 1
  kill -9 $iokerneld
  wait $iokerneld
  check System.the_app_is_told_that_iokerneld_died eventually grep -qi iokerneld /tmp/server.log
  kill $server
  wait $server
  verdict System.the_app_ends $(($? > 128))
  check System.iokerneld_starts_again start_iokerneld
  check System.an_app_attaches_again start_server
  check System.and_is_served_again load 1
  kill $server && wait $server
  kill $iokerneld && wait $iokerneld
  check System.the_module_unloads eventually rmmod ksched

  # Where there is no module the same iokerneld does without.
  check System.iokerneld_starts_without_a_module start_iokerneld
  check System.it_grants_by_futex stat_says 'grants by futex'
  check System.an_app_attaches_by_futex start_server
  check System.nothing_is_lost_by_futex load 1
  kill $server && wait $server
  kill $iokerneld && wait $iokerneld
}

# A kernel that looks for leaks names the module while it is loaded; twice, for what was on its way.
leaks=/sys/kernel/debug/kmemleak
no_leak() {
  echo scan >$leaks && sleep 6 && echo scan >$leaks && cat $leaks && ! grep -q ksched $leaks
}

test_module() {
  check Module.loads insmod /sluice/ksched.ko
  for program in ksched_grant_test ksched_life_test ksched_abuse_test; do
    "$program" || failed=1
  done
  if [ -e $leaks ]; then check Module.leaks_nothing no_leak; fi
  check Module.unloads rmmod ksched
}

# The system first: taking CPUs away and giving them back is the last that a guest's clocks should see.
if [ -e /sluice/iokerneld ]; then test_system; fi
test_module
exit "$failed"
