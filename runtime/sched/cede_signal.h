// cede_signal.h - the handler of the signal by which the IOKernel hastens a cede, or ends a time slice.
#pragma once

namespace sluice::sched {

// For the process, once; stays installed, for a late signal must do no harm.
void InstallCedeHandler();

// For a kthread's pthread: only the cede signal, and what an instruction of its own raises, is delivered to it. The
// process's other signals go to its plain pthreads. Returns nothing to restore: call it on the new thread.
void BlockOtherSignals();

}  // namespace sluice::sched
