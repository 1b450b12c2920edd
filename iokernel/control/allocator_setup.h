// allocator_setup.h - the brain's options for this config on this machine: which slot is on which CPU, beside
// which hyperthread, on which NUMA node; and how patient a cede is.
#pragma once

#include "iokernel/abi/clock.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/control/config.h"

namespace sluice {

// nic_node: of the port; -1: unknown.
AllocatorOptions MakeAllocatorOptions(const Config& config, int nic_node, const abi::TickRate& rate);

}  // namespace sluice
