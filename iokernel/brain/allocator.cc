// allocator.cc - the allocator's edges: making it, admission, attach, detach, packets for sleeping apps.
#include "iokernel/brain/allocator.h"

#include <utility>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {
namespace {

AllocatorPolicies PoliciesByName(const AllocatorOptions& options) {
  return {
      .pick = [name = options.pick](uint16_t kthreads,
                                    std::span<const CoreId> sibling) { return MakePick(name, kthreads, sibling); },
      .congestion = MakeCongestion(options.congestion, {.interval = options.interval, .rate = options.rate}),
      .placement = MakePlacement(options.placement),
  };
}

}  // namespace

void BrainAppDeleter::operator()(BrainApp* app) const { delete app; }

Allocator::Impl::Impl(const AllocatorOptions& opts, AllocatorPolicies made, GrantBackend& grant_backend,
                      AllocatorHost& allocator_host)
    : options(opts),
      policies(std::move(made)),
      backend(grant_backend),
      host(allocator_host),
      machine(options.cores, options.nic_node) {
  SLUICE_CHECK(options.grants_per_pass > 0, "a pass that may grant nothing");
  const size_t slots = options.cores.size();
  for (const CoreSpec& spec : options.cores) sibling.push_back(spec.sibling);
  // A core slot carries one kthread, so no list of kthreads that have one is longer than the slots.
  order.reserve(slots);
  signals.resize(slots);
  segments.reserve(slots);
  due_turns.reserve(slots);
  started.reserve(slots);
  parked.reserve(slots);
  ceding.reserve(slots);
  attached.reserve(kMaxApps);
  running.reserve(kMaxApps);
  sleeping.reserve(kMaxApps);
  wanting.reserve(kMaxApps);
  candidates.reserve(kMaxApps);
  grants_left = options.grants_per_pass;
}

Allocator::Allocator(const AllocatorOptions& options, GrantBackend& backend, AllocatorHost& host)
    : Allocator(options, PoliciesByName(options), backend, host) {}
Allocator::Allocator(const AllocatorOptions& options, AllocatorPolicies policies, GrantBackend& backend,
                     AllocatorHost& host)
    : impl_(std::make_unique<Impl>(options, std::move(policies), backend, host)) {}
Allocator::~Allocator() = default;

std::string Allocator::CheckAdmission(uint16_t guaranteed, uint16_t kthreads) const {
  const auto text = [](size_t n) { return std::to_string(n); };
  if (kthreads == 0) return "an app needs at least one kthread, 0 were asked for";
  if (kthreads > abi::kMaxKthreads) {
    return text(kthreads) + " kthreads were asked for, at most " + text(abi::kMaxKthreads) + " are possible";
  }
  if (guaranteed > kthreads) {
    return text(guaranteed) + " guaranteed cores were asked for with only " + text(kthreads) +
           " kthreads to run on them";
  }
  const size_t slots = impl_->options.cores.size();
  const size_t given = impl_->guaranteed_sum.load(std::memory_order_relaxed);
  if (given + guaranteed > slots) {
    return text(guaranteed) + " guaranteed cores were asked for, but " + text(given) + " of " + text(slots) +
           " core slots are guaranteed to others: " + text(given) + " + " + text(guaranteed) + " = " +
           text(given + guaranteed) + " > " + text(slots) + "; ask for at most " + text(slots - given);
  }
  return {};
}

BrainAppPtr Allocator::Prepare(const AppSpec& spec, const AppMemory& memory) const {
  SLUICE_CHECK(spec.id < kMaxApps && spec.kthreads >= 1 && spec.kthreads <= abi::kMaxKthreads,
               "an app outside the bounds of views.h");
  SLUICE_CHECK(memory.line != nullptr && memory.kthreads.size() == spec.kthreads,
               "an app's memory that does not fit its kthreads");
  return BrainAppPtr(new BrainApp(spec, memory, static_cast<uint16_t>(impl_->options.cores.size()),
                                  impl_->policies.pick(spec.kthreads, impl_->sibling)));
}

void Allocator::Attach(BrainAppPtr app) { impl_->Attach(std::move(app)); }
void Allocator::Attach(const AppSpec& spec, const AppMemory& memory) { impl_->Attach(Prepare(spec, memory)); }
BrainAppPtr Allocator::Detach(AppId app) { return impl_->Detach(app); }

const AppView& Allocator::View(AppId app) const { return impl_->apps[app]->view; }
void Allocator::OnArrival(AppId app, Ticks now) {
  if (impl_->apps[app]->sleeps) impl_->OnArrival(*impl_->apps[app], now);
}
void Allocator::OnSent(AppId app, KthreadId kthread, uint32_t count, Ticks now) {
  impl_->OnSent(*impl_->apps[app], kthread, count, now);
}
void Allocator::Pass(Ticks now) { impl_->Pass(now); }
void Allocator::Urgent(Ticks now) {
  if (!impl_->ceding.empty() || !impl_->sleeping.empty() || impl_->SomebodyWasRefused() ||
      now >= impl_->wheel.earliest()) {
    impl_->Urgent(now);
  }
}

Recorder& Allocator::recorder() { return impl_->recorder; }
const AllocatorOptions& Allocator::options() const { return impl_->options; }

std::span<const CoreView> Allocator::cores() const { return impl_->machine.view().cores; }
const ShareView& Allocator::share(AppId app) const { return impl_->Share(app); }
const AllocatorCounters& Allocator::counters() const { return impl_->counters; }
const AppGrantCounters& Allocator::app_counters(AppId app) const { return impl_->apps[app]->counters; }
uint64_t Allocator::grants(AppId app, KthreadId kthread) const { return impl_->apps[app]->kthreads[kthread].grants; }

void Allocator::Impl::Attach(BrainAppPtr made) {
  const AppSpec& spec = made->spec;
  SLUICE_CHECK(apps[spec.id] == nullptr, "an app id that is attached already");
  const uint32_t sum = guaranteed_sum.load(std::memory_order_relaxed) + spec.guaranteed;
  SLUICE_CHECK(sum <= options.cores.size() && spec.guaranteed <= spec.kthreads, "attached without admission");
  guaranteed_sum.store(sum, std::memory_order_relaxed);
  machine.Attach(spec.id, {.guaranteed = spec.guaranteed,
                           .max = spec.kthreads,
                           .priority = spec.priority,
                           .wanted = spec.hints != nullptr ? &spec.hints->wanted : nullptr});
  policies.congestion->Attach(spec.id, spec.kthreads);
  attached.push_back(spec.id);
  BrainApp& app = *made;
  apps[spec.id] = std::move(made);
  LogAttach(app, last_now);
  FallAsleep(app, last_now);
}

BrainAppPtr Allocator::Impl::Detach(AppId id) {
  SLUICE_CHECK(!in_pass, "a detach from within a pass");
  SLUICE_CHECK(id < kMaxApps && apps[id] != nullptr, "an app id that is not attached");
  BrainApp& app = *apps[id];
  for (const KthreadId k : app.awake.span()) {
    // A kthread of a process that lives on sees the word and parks; one that does not is made to leave.
    app.kthreads[k].issuer.Cede();
    if (options.shared_cpus) {
      backend.Interrupt(id, k);
    } else {
      backend.Evict(id, k);
    }
  }
  machine.Detach(id);
  std::erase_if(ceding, [&](const Ceding& c) { return c.app == &app; });
  std::erase(wanting, &app);
  std::erase(attached, id);
  std::erase(running, &app);
  for (size_t i = 0; i < running.size(); i++) running[i]->place = i;
  WakeUp(app);
  for (BrainKthread& kthread : app.kthreads) wheel.Disarm(kthread.timer);
  Log(record::RecordType::kDetach, id, last_now, record::RecordDetach{});
  order_stale = true;
  policies.congestion->Detach(id);
  guaranteed_sum.store(guaranteed_sum.load(std::memory_order_relaxed) - app.spec.guaranteed, std::memory_order_relaxed);
  backend.Flush();
  return std::move(apps[id]);
}

// If a kthread of it waits with work, who gets the next core is decided already; for the rest see OnSent.
void Allocator::Impl::OnArrival(BrainApp& app, Ticks now) {
  if (in_pass || WasRefused(app) || !app.waiting.empty()) return;
  Rouse(app, record::Cause::kPacket, now);
  TryAddCore(app, now);
  backend.Flush();
}

void Allocator::Impl::OnSent(BrainApp& app, KthreadId k, uint32_t count, Ticks now) {
  KthreadView& view = app.views[k];
  BrainKthread& kthread = app.kthreads[k];
  kthread.oldest.Sent(view.rx_sent, now);
  view.rx_sent += count;
  if (!view.parked) return;
  MarkWaiting(app, k, record::Cause::kPacket, now);
  // At once, if nobody of it is awake; a pass decides for itself.
  if (in_pass || WasRefused(app)) return;
  const ShareView& share = Share(app);
  if (share.held != 0 || share.pending != 0) return;
  TryAddCore(app, now);
  backend.Flush();
}

}  // namespace sluice
