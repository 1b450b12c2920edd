#!/bin/sh
# pair_client.sh - the client's guest of vm.pair: Linux on the first NIC. All that it sends comes back.
ip addr add 10.9.0.2/24 dev eth0
ip link set eth0 up
ethtool -K eth0 tx off
tries=0
until ping -c 1 -W 2 10.9.0.7 >/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || exit 1
done
synthetic client --target 10.9.0.7:7000 --rate 200 --flows 16 --seconds 2 --warmup 0 --drain-ms 5000 >/tmp/load.json
cat /tmp/load.json
grep -q '"lost":0,' /tmp/load.json
