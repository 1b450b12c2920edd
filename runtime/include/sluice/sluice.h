// sluice.h - all of the runtime's public interface.
#pragma once

#include "sluice/blocking.h"  // IWYU pragma: export
#include "sluice/error.h"     // IWYU pragma: export
#include "sluice/net.h"       // IWYU pragma: export
#include "sluice/preempt.h"   // IWYU pragma: export
#include "sluice/run.h"       // IWYU pragma: export
#include "sluice/sync.h"      // IWYU pragma: export
#include "sluice/thread.h"    // IWYU pragma: export
#include "sluice/time.h"      // IWYU pragma: export
#include "sluice/udp.h"       // IWYU pragma: export
