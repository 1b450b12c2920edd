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
seconds() { cut -d . -f 1 /proc/uptime; }
# Until CMD succeeds; none is begun after 30 s.
eventually() {
  give_up=$(($(seconds) + 30))
  until "$@" >/dev/null 2>&1; do
    [ "$(seconds)" -lt "$give_up" ] || return 1
    sleep 0.1
  done
}

# The whole system: iokerneld on the first NIC through vfio, Linux on the second, the cable between them.
stat_says() { sluicectl stat | grep -q "$1"; }
# send RATE SECONDS ARGS...: all replies that come are waited for; the result is in /tmp/load.json.
send() {
  rate=$1 seconds=$2
  shift 2
  synthetic client --target 10.9.0.7:7000 --rate "$rate" --flows 16 --seconds "$seconds" --warmup 0 --drain-ms 5000 \
    --cpus 3 "$@" >/tmp/load.json
  status=$?
  cat /tmp/load.json
  return "$status"
}
result() { sed "s/.*\"$1\":\([0-9]*\).*/\1/" /tmp/load.json; }
# Each end knows the other's link address first: packets for an unknown one wait, and few do.
load() { eventually ping -c 1 -W 2 10.9.0.7 && send "$@" && [ "$(result lost)" = 0 ]; }
# An iokerneld that has just started has to ask for the link address of a peer that still knows ours, and few replies
# wait for the answer. Here it gets none: every request arrives, and every reply that is lost is in a counter.
load_unanswered() {
  arp -i eth1 -s 10.9.0.7 52:54:00:00:00:01
  echo 8 >/proc/sys/net/ipv4/conf/eth1/arp_ignore
  send 200 1 # and fails, for nothing comes back
  echo 0 >/proc/sys/net/ipv4/conf/eth1/arp_ignore
  arp -i eth1 -d 10.9.0.7
  sluicectl stat --json | awk -v sent="$(result sent)" -v lost="$(result lost)" '
    /"apps":/ { apps = 1 }
    apps && /"rx_packets"/ && !arrived { arrived = $2 + 0 }
    apps && /}/ { drops = 0 }
    apps && /"drops":/ { drops = 1 }
    drops { dropped += $2; if ($2 + 0) print }
    END {
      print sent, "sent", arrived, "arrived", lost, "lost", dropped, "dropped"
      exit arrived != sent || dropped != lost || !lost
    }
  '
}
# Both histograms of the grants: as many as there were, bounds that rise, the longest in the last.
histograms_hold() {
  sluicectl stat --json | awk '
    /"latency": \[$/ { of = "loop" }
    /"kernel_latency": \[$/ { of = "kernel" }
    /\]/ { of = "" }
    of != "" && /"below_us"/ { if ($2 + 0 <= bound[of] + 0) wrong = 1; bound[of] = $2 + 0 }
    of != "" && /"grants"/ { sum[of] += $2 }
    /"starts"/ { starts = $2 + 0 }
    /"wakes"/ { wakes = $2 + 0 }
    /"start_max_us"/ { longest = $2 + 0 }
    END {
      exit wrong || !starts || !wakes || sum["loop"] != starts || sum["kernel"] != wakes ||
        longest >= bound["loop"] || longest < bound["loop"] / 2
    }
  '
}
# Long requests for the app's only kthread: turns end, by the module's word and signal, and nothing is lost.
slices_end() {
  load 20 2 --service const:30ms && sluicectl stat --json | awk '
    /"runtime":/ { of_kthread = 1 }
    /"slices":/ { if (of_kthread) ended = $2 + 0; of_kthread = 0 }
    /"turns":/ { asked = $2 + 0 }
    END { print ended, "turns ended of", asked; exit !ended || ended > asked }
  '
}
start_iokerneld() {
  iokerneld --port pci:$nic --address 10.9.0.1/24 --cpu 0 --cores 1-2 "$@" >/tmp/iokerneld.log 2>&1 &
  iokerneld=$!
  eventually grep -q ready /tmp/iokerneld.log || { cat /tmp/iokerneld.log && return 1; }
}
start_server() {
  synthetic server --transport sluice --address 10.9.0.7 --kthreads "${1:-2}" --name "${2:-synthetic}" >/tmp/server.log 2>&1 &
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
  check System.nothing_is_lost load 200 3
  # Long enough on its core for the loop to see that it has started.
  check System.nor_of_long_requests load 50 1 --service const:5ms
  sluicectl stat
  check System.cores_were_granted stat_says 'grants by ksched: .*grants [0-9]'
  check System.each_grant_has_a_latency eventually histograms_hold
  kill -9 $server
  wait $server
  check System.a_killed_app_is_forgotten eventually stat_says 'no app is attached'
  check System.another_one_attaches start_server
  check System.and_is_served load 200 1
  kill -9 $iokerneld
  wait $iokerneld
  check System.the_app_is_told_that_iokerneld_died eventually grep -qi iokerneld /tmp/server.log
  kill $server
  wait $server
  verdict System.the_app_ends $(($? > 128))
  check System.iokerneld_starts_again start_iokerneld
  check System.an_app_attaches_again start_server
  check System.what_is_lost_without_its_link_address_is_counted load_unanswered
  check System.and_is_served_again load 200 1
  kill $server && wait $server
  kill $iokerneld && wait $iokerneld
  printf '[[app]]\nname = "sliced"\naddress = "10.9.0.7"\nmax = 1\nslice_us = 3000\n' >/tmp/sliced.toml
  check System.iokerneld_starts_with_time_slices start_iokerneld --config /tmp/sliced.toml
  check System.an_app_with_slices_attaches start_server 1 sliced
  check System.long_requests_end_their_turns slices_end
  kill $server && wait $server
  kill $iokerneld && wait $iokerneld
  check System.the_module_unloads eventually rmmod ksched

  # Where there is no module the same iokerneld does without.
  check System.iokerneld_starts_without_a_module start_iokerneld
  check System.it_grants_by_futex stat_says 'grants by futex'
  check System.an_app_attaches_by_futex start_server
  check System.nothing_is_lost_by_futex load 200 1
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
