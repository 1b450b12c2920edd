// fill.cc - buffers that an app has done with come back to the IOKernel's pool.
#include <algorithm>

#include "iokernel/abi/message.h"
#include "iokernel/dataplane/app_state.h"

namespace sluice {

uint32_t DrainFill(AppState& app, KthreadId k, uint32_t most) {
  abi::LrpcReceiver& ring = app.queues[k].fill;
  uint32_t returned = 0;
  abi::LrpcMessage message;
  for (uint32_t taken = 0; taken < most && ring.Receive(&message); ++taken) {
    if (abi::TypeOf(message) != abi::MessageType::kFillBuffer) [[unlikely]] {
      app.counters.drops.Add(AppDrop::kFillType);
      continue;
    }
    switch (app.pool.Put(abi::DecodeFill(message))) {
      case BufferPool::PutResult::kOk:
        ++returned;
        break;
      case BufferPool::PutResult::kIndex:
        app.counters.drops.Add(AppDrop::kFillIndex);
        break;
      case BufferPool::PutResult::kDouble:
        app.counters.drops.Add(AppDrop::kFillDouble);
        break;
    }
  }
  // The ring has a slot for every buffer, and the app counts on it: a head that lagged would make it look full.
  ring.PublishHead();
  return returned;
}

void DrainFills(AppState& app) {
  // One ring holds every buffer there is; more messages than that are rubbish, to be looked at next time.
  uint32_t most = app.pool.buffers();
  for (KthreadId k = 0; k < app.queues.size(); ++k) most -= std::min(most, DrainFill(app, k, most));
}

}  // namespace sluice
