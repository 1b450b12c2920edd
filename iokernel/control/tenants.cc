// tenants.cc - see tenants.h.
#include "iokernel/control/tenants.h"

#include <algorithm>

#include "iokernel/abi/check.h"

namespace sluice {

using Stage = Tenant::Stage;

AppId Tenants::Add(AppParams params, pid_t pid, std::string command, uint64_t session) {
  const auto* free = std::find(slots_.begin(), slots_.end(), nullptr);
  if (free == slots_.end()) return kNoApp;
  const auto id = static_cast<AppId>(free - slots_.begin());
  params.id = id;
  params.epoch = ++epoch_;
  auto tenant = std::make_unique<Tenant>();
  tenant->params = std::move(params);
  tenant->pid = pid;
  tenant->command = std::move(command);
  tenant->session = session;
  workshop_.Make(tenant->params);
  slots_[id] = std::move(tenant);
  ++count_;
  return id;
}

void Tenants::Attach(AppId id, std::vector<uint32_t> tids) {
  Tenant& tenant = at(id);
  SLUICE_CHECK(tenant.stage == Stage::kReady, "only an app whose memory is there can be attached");
  tenant.tids = std::move(tids);
  std::vector<EnrolledThread> threads;
  for (uint32_t k = 0; k < tenant.tids.size(); ++k) {
    abi::KthreadBlock* block = tenant.app->layout().Kthread(tenant.app->base(), k);
    threads.push_back({static_cast<pid_t>(tenant.tids[k]), &block->grant.generation});
  }
  backend_.Enrol(id, tenant.pid, threads, tenant.params.priority);
  tenant.stage = Stage::kAttaching;
  Post(CommandKind::kAttach, tenant);
}

void Tenants::Leave(AppId id) {
  Tenant& tenant = at(id);
  if (tenant.leaving) return;
  tenant.leaving = true;
  tenant.session = 0;
  if (tenant.stage == Stage::kReady) {
    Free(tenant);
  } else if (tenant.stage == Stage::kAttaching || tenant.stage == Stage::kAttached) {
    tenant.stage = Stage::kDetaching;
    Post(CommandKind::kDetach, tenant);
  }
  // kMaking: freed as soon as it is made.
}

void Tenants::Ask(AppId id, FlowQuestion& question) {
  SLUICE_CHECK(at(id).stage == Stage::kAttached, "only an attached app's policy can be asked");
  commands_.push_back({CommandKind::kAsk, id, nullptr, &question});
  ++awaited_;
}

void Tenants::Post(CommandKind kind, Tenant& tenant) {
  commands_.push_back({kind, tenant.params.id, tenant.app.get(), nullptr});
  ++awaited_;
}

void Tenants::Free(Tenant& tenant) {
  tenant.stage = Stage::kFreeing;
  workshop_.Free(tenant.params.id, std::move(tenant.app));
}

std::optional<Tenants::Event> Tenants::OnDone(Workshop::Done done) {
  Tenant& tenant = at(done.id);
  Event event{Event::Kind::kMade, done.id, tenant.session, {}, nullptr};
  if (done.app != nullptr) {
    tenant.app = std::move(done.app);
    tenant.stage = Stage::kReady;
    if (!tenant.leaving) return event;
    Free(tenant);
    return std::nullopt;
  }
  slots_[done.id] = nullptr;
  --count_;
  if (done.freed) return std::nullopt;
  event.kind = Event::Kind::kNotMade;
  event.text = std::move(done.error);
  return event;
}

std::optional<Tenants::Event> Tenants::OnReply(const Reply& reply) {
  SLUICE_CHECK(awaited_ > 0, "the loop answered what it was not asked");
  --awaited_;
  if (reply.kind == CommandKind::kAsk) return Event{Event::Kind::kAnswered, reply.id, 0, {}, reply.question};
  SLUICE_CHECK(slots_[reply.id] != nullptr, "the loop answered for an app that is none");
  Tenant& tenant = at(reply.id);
  if (reply.kind == CommandKind::kDetach) {
    backend_.Release(reply.id);
    tenant.tids.clear();
    Free(tenant);
    return Event{Event::Kind::kGone, reply.id, 0, tenant.params.name, nullptr};
  }
  if (tenant.leaving) return std::nullopt;  // its kDetach is on the way
  tenant.stage = Stage::kAttached;
  return Event{Event::Kind::kAttached, reply.id, tenant.session, {}, nullptr};
}

std::optional<Tenants::Event> Tenants::Next() {
  while (!commands_.empty() && dataplane_.Post(commands_.front())) commands_.pop_front();
  Reply reply;
  while (dataplane_.NextReply(&reply)) {
    if (auto event = OnReply(reply)) return event;
  }
  Workshop::Done done;
  while (workshop_.Next(&done)) {
    if (auto event = OnDone(std::move(done))) return event;
  }
  Notice notice;
  while (dataplane_.NextNotice(&notice)) {
    // It may have left, and its successor with the same id may have come, since the loop said so.
    if (notice.id >= kMaxApps || slots_[notice.id] == nullptr || slots_[notice.id]->stage != Stage::kAttached) continue;
    const auto kind = notice.kind == Notice::Kind::kFaulted ? Event::Kind::kFaulted : Event::Kind::kUnresponsive;
    return Event{kind, notice.id, slots_[notice.id]->session, {}, nullptr};
  }
  return std::nullopt;
}

std::vector<const Tenant*> Tenants::List() const {
  std::vector<const Tenant*> list;
  for (const auto& slot : slots_) {
    if (slot != nullptr) list.push_back(slot.get());
  }
  return list;
}

std::vector<Holder> Tenants::Holders() const {
  std::vector<Holder> holders;
  for (const Tenant* tenant : List()) {
    if (tenant->stage == Stage::kFreeing) continue;  // name, address and cores are free already
    holders.push_back({tenant->params.name, tenant->params.address, tenant->params.guaranteed, tenant->pid,
                       tenant->command, tenant->leaving});
  }
  return holders;
}

const Tenant* Tenants::EnrolledBy(std::span<const uint32_t> tids) const {
  for (const Tenant* tenant : List()) {
    for (const uint32_t tid : tenant->tids) {
      if (std::find(tids.begin(), tids.end(), tid) != tids.end()) return tenant;
    }
  }
  return nullptr;
}

}  // namespace sluice
