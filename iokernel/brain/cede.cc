// cede.cc - taking a core back: the word, the signal, the signal again, eviction.
#include <algorithm>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {

void Allocator::Impl::Cede(BrainApp& app, KthreadId k, AppId heir, Ticks now) {
  BrainKthread& kthread = app.kthreads[k];
  kthread.issuer.Cede();
  machine.Cede(app.views[k].core);
  Log(record::RecordType::kCede, app.spec.id, now, record::RecordCede{{}, k, app.views[k].core, heir, 0});
  ceding.push_back({.app = &app, .kthread = k, .since = now, .signalled = 0, .signals = 0});
  if (kthread.starting) {
    kthread.starting = false;
    app.starting--;
  }
  HeldChanged(app);
  counters.cedes.Add();
  app.counters.cedes.Add();
  RemoveActive(app, k);
  host.OnActiveChange(app.spec.id);
}

void Allocator::Impl::Escalate(Ticks now) {
  for (size_t i = 0; i < ceding.size();) {
    Ceding& c = ceding[i];
    if (!options.shared_cpus && options.cede_give_up != 0 && Since(c.since, now) >= options.cede_give_up) {
      const Ceding gone = c;
      ceding.erase(ceding.begin() + static_cast<std::ptrdiff_t>(i));
      Evict(*gone.app, gone.kthread, now);
      continue;
    }
    const bool due =
        c.signals == 0 ? Since(c.since, now) >= options.cede_grace : Since(c.signalled, now) >= options.cede_resend;
    if (due) {
      backend.Interrupt(c.app->spec.id, c.kthread);
      c.signalled = now;
      c.signals++;
      counters.signals.Add();
    }
    i++;
  }
}

// The kthread keeps running somewhere, if it can; here it is as good as gone.
void Allocator::Impl::Evict(BrainApp& app, KthreadId k, Ticks now) {
  const AppId id = app.spec.id;
  const CoreId core = app.views[k].core;
  backend.Evict(id, k);
  counters.evictions.Add();
  app.counters.evictions.Add();
  app.kthreads[k].evicted = true;
  Log(record::RecordType::kEvict, id, now, record::RecordEvict{{}, k, core, 0});
  SetAsleep(app, k);
  if (app.awake.empty()) FallAsleep(app, now);
  app.on_core[core] = kNoKthread;
  RemoveActive(app, k);
  FreeCore(core, now);
  host.OnActiveChange(id);
  host.OnUnresponsive(id, k);
}

}  // namespace sluice
