// udp_ports.h - all UDP ports of the app: who holds which number.
//
// The table is an array by port number: a softirq's look-up is one load. What it finds may have been closed, or even
// opened again under another number, since: see udp_port.h.
#pragma once

#include "runtime/net/udp_port.h"

namespace sluice::net {

// Softirq context. kNoSocket: nobody holds the port, or only for another peer.
Delivered DeliverToPort(sched::Kthread& executing, const Arrival& arrival);

// `number` 0: a free one of 49152..65535. Errors: kAddressInUse, kNoPorts.
Expected<UdpPort*> OpenPort(uint16_t number, const UdpOptions& options);

// Any thread. ShutPort frees the number; ClosePort also waits until the port is empty and frees it for use again.
void ShutPort(UdpPort* port);
void ClosePort(UdpPort* port);

// From now on every port hears of the IOKernel's end. Before the scheduler's Start; idempotent.
void WakePortsWhenGone();

// The attachment has ended and with it every buffer: forgets what is queued.
void DropQueues();

}  // namespace sluice::net
