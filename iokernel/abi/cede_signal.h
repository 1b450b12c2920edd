// cede_signal.h - the signal that makes a kthread look at its cede and turn_over words sooner.
//
// The IOKernel's backends send it, the runtime handles it; any other arrival means nothing, for the
// words are the truth. SIGURG on Linux: ignored by default, so one that comes before the handler is installed
// or after it has been taken away does no harm, and no debugger stops for it.
#pragma once

namespace sluice::abi {

inline constexpr int kCedeSignal = 23;

}  // namespace sluice::abi
