#!/bin/sh
# pair_server.sh - the server's guest of vm.pair: iokerneld on the first NIC through vfio, and an app, until the end.
nic=0000:00:10.0
echo vfio-pci >/sys/bus/pci/devices/$nic/driver_override
echo $nic >/sys/bus/pci/drivers/virtio-pci/unbind
echo $nic >/sys/bus/pci/drivers_probe
mkfifo /tmp/says
iokerneld --port pci:$nic --address 10.9.0.1/24 --cpu 0 --cores 1-2 >/tmp/says &
while read -r line && [ "$line" != ready ]; do echo "$line"; done </tmp/says
exec synthetic server --transport sluice --address 10.9.0.7 --kthreads 2
