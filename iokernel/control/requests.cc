// requests.cc - what clients ask of the control thread and attached apps make of it, and the answers.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "iokernel/control/log.h"
#include "iokernel/control/report.h"
#include "iokernel/control/server_impl.h"
#include "iokernel/control/units.h"

namespace sluice {

using abi::AnswerCode;

void Server::Impl::OnMessage(uint64_t serial, Session& session, std::span<const std::byte> bytes) {
  if (session.stage == SessionStage::kClosing) return;
  FileDescriptor passed = session.TakePassed();  // closed, unless a command wants it
  auto message = ParseMessage(bytes);
  if (!message) return Refuse(serial, session, message.error());
  if (session.stage == SessionStage::kOpened) {
    if (const auto* attach = std::get_if<AttachWish>(&*message)) return Attach(serial, session, *attach);
    if (const auto* query = std::get_if<QueryWish>(&*message)) return Query(serial, session, *query);
    if (const auto* command = std::get_if<CommandWish>(&*message)) {
      return Command(serial, session, *command, std::move(passed));
    }
  } else if (session.stage == SessionStage::kThreads) {
    if (auto* threads = std::get_if<ThreadsWish>(&*message)) return Threads(serial, session, std::move(*threads));
  }
  Refuse(serial, session, {AnswerCode::kMalformed, "this message is not due now"});
}

void Server::Impl::Attach(uint64_t serial, Session& session, const AttachWish& wish) {
  CloseDead();
  const std::vector<Holder> holders = tenants.Holders();
  auto params = admission.Admit(wish, holders);
  // What it wants may be its predecessor's, killed a moment ago: whoever restarts an app does so at once.
  const bool some_leave = std::any_of(holders.begin(), holders.end(), [](const Holder& h) { return h.leaving; });
  if (!params && some_leave && NowMs() < session.deadline_ms) {
    session.stage = SessionStage::kWaiting;
    waiting.insert_or_assign(serial, wish);
    return;
  }
  if (!params) {
    LogInfo("refused pid " + std::to_string(session.peer().pid) + ": " + params.error().sentence);
    return Refuse(serial, session, params.error());
  }
  if (!Watch(session.peer().pidfd.get(), EPOLLIN, Tag(Source::kPeer, serial))) {
    return Refuse(serial, session, {AnswerCode::kNoMemory, "iokerneld cannot watch one process more"});
  }
  params->features = backend.features();
  if (params->slice_us != 0 && (wish.features & abi::kFeatureSlices) == 0) {
    LogWarning(params->name + ", pid " + std::to_string(session.peer().pid) + ", cannot be given its time slices of " +
               std::to_string(params->slice_us) + " us: it has the C or C++ library, or a malloc, in its executable");
    params->slice_us = 0;
  }
  if (params->slice_us != 0) params->features |= abi::kFeatureSlices;
  session.app = tenants.Add(std::move(*params), session.peer().pid, session.peer().command, serial);
  if (session.app == kNoApp) {
    return Refuse(serial, session,
                  {AnswerCode::kTooManyApps, std::to_string(kMaxApps) + " apps are attached; that is the most"});
  }
  session.stage = SessionStage::kMaking;
  session.deadline_ms = 0;  // it waits for us
}

// Looks again at those who wait: at every turn, for it is soon over and costs little.
void Server::Impl::AttachWaiting() {
  for (const auto& [serial, wish] : std::exchange(waiting, {})) {
    Session* session = Find(serial);
    if (session != nullptr && session->stage == SessionStage::kWaiting) Attach(serial, *session, wish);
  }
}

// The word of a death may stand behind the successor's request in epoll's queue.
void Server::Impl::CloseDead() {
  std::vector<uint64_t> dead;
  for (const auto& [serial, session] : sessions) {
    if (session.app != kNoApp && !session.peer().Alive()) dead.push_back(serial);
  }
  for (const uint64_t serial : dead) Close(serial);
}

void Server::Impl::Threads(uint64_t serial, Session& session, ThreadsWish wish) {
  const Tenant& tenant = tenants.at(session.app);
  if (wish.epoch != tenant.params.epoch) {
    return Refuse(serial, session, {AnswerCode::kMalformed, "threads for another attach than this one"});
  }
  if (wish.tids.size() != tenant.params.geometry.kthreads) {
    return Refuse(serial, session,
                  {AnswerCode::kMalformed, std::to_string(wish.tids.size()) + " threads came, the region is for " +
                                               std::to_string(tenant.params.geometry.kthreads)});
  }
  uint32_t foreign = 0;
  if (!OwnsThreads(session.peer(), wish.tids, &foreign)) {
    return Refuse(serial, session,
                  {AnswerCode::kForeignThread,
                   "thread " + std::to_string(foreign) + " is none of pid " + std::to_string(session.peer().pid)});
  }
  if (const Tenant* other = tenants.EnrolledBy(wish.tids)) {
    return Refuse(serial, session,
                  {AnswerCode::kForeignThread, "a thread of these serves " + other->params.name + " already"});
  }
  session.stage = SessionStage::kAttaching;
  session.deadline_ms = 0;
  tenants.Attach(session.app, std::move(wish.tids));
}

void Server::Impl::Query(uint64_t serial, Session& session, const QueryWish& wish) {
  Answer(
      serial, session,
      AnswerQuery(wish.what, {options, dataplane, backend, recording.status(), tenants.List(), NowMs() - started_ms}));
}

void Server::Impl::Command(uint64_t serial, Session& session, const CommandWish& wish, FileDescriptor file) {
  const bool looks = wish.verb == CommandVerb::kExplain || wish.verb == CommandVerb::kFlowList;
  const uid_t uid = session.peer().uid;
  if (!looks && uid != 0 && uid != geteuid()) {
    return Answer(serial, session,
                  tl::make_unexpected(Refusal{AnswerCode::kPermission,
                                              "only root and iokerneld's own user may do that, "
                                              "not user " +
                                                  std::to_string(uid)}));
  }
  if (wish.verb == CommandVerb::kRecordStart || wish.verb == CommandVerb::kRecordStop) {
    const auto done =
        wish.verb == CommandVerb::kRecordStart ? recording.Start(std::move(file), wish.limit_bytes) : recording.Stop();
    if (!done) return Answer(serial, session, tl::make_unexpected(Refusal{AnswerCode::kNotPossible, done.error()}));
    LogInfo(wish.verb == CommandVerb::kRecordStart ? "recording of decisions started" : "recording of decisions ended");
    return Answer(serial, session, RecordingText(recording.status()));
  }
  // It may take as long as the loop needs for a table: what it waits for now is ours.
  session.stage = SessionStage::kAsking;
  session.deadline_ms = 0;
  if (const auto done = flows.Take(serial, wish)) Answer(serial, session, done->answer);
}

// An answer of any length, and the end of the connection.
void Server::Impl::Answer(uint64_t serial, Session& session, const tl::expected<std::string, Refusal>& answer) {
  if (!answer) {
    session.Send(MakeQueryAnswer(answer.error().code, answer.error().sentence, false));
  } else {
    std::string_view rest = *answer;
    do {
      const std::string_view piece = rest.substr(0, kQueryPiece);
      rest.remove_prefix(piece.size());
      session.Send(MakeQueryAnswer(AnswerCode::kOk, piece, !rest.empty()));
    } while (!rest.empty());
  }
  SendAndGo(serial, session);
}

void Server::Impl::OnTenant(const Tenants::Event& event) {
  using Kind = Tenants::Event::Kind;
  if (event.kind == Kind::kGone) return LogInfo(event.text + " has gone");
  if (event.kind == Kind::kAnswered) {
    const auto done = flows.OnAnswer(*event.question);
    Session* asker = done ? Find(done->session) : nullptr;
    if (asker != nullptr) Answer(done->session, *asker, done->answer);
    return;
  }
  Session* session = Find(event.session);
  if (session == nullptr) return;
  if (event.kind == Kind::kNotMade) {
    session->app = kNoApp;
    LogWarning("no memory for pid " + std::to_string(session->peer().pid) + ": " + event.text);
    return Refuse(event.session, *session, {AnswerCode::kNoMemory, event.text});
  }
  const Tenant& tenant = tenants.at(event.id);
  const std::string who = tenant.params.name + ", pid " + std::to_string(tenant.pid) + " (" + tenant.command + ")";
  switch (event.kind) {
    case Kind::kMade:
      session->stage = SessionStage::kThreads;
      session->deadline_ms = NowMs() + options.threads_ms;
      session->Send(MakeAttachAnswer(tenant.app->region_bytes(), tenant.params.epoch), tenant.app->region_fd());
      Flush(event.session, *session);
      return;
    case Kind::kAttached:
      session->stage = SessionStage::kAttached;
      LogInfo("attached " + who + ": " + FormatIpv4(tenant.params.address) + ", " + std::to_string(tenant.tids.size()) +
              " kthreads, " + std::to_string(tenant.params.guaranteed) + " guaranteed, " + tenant.params.steering);
      session->Send(MakeAnswer(AnswerCode::kOk, {}));
      Flush(event.session, *session);
      return;
    case Kind::kUnresponsive:
      LogWarning("detached " + who + ": it did not give a core back in time");
      return Close(event.session);
    case Kind::kFaulted:
      LogWarning("detached " + who + ": its memory could not be accessed");
      return Close(event.session);
    default:
      return;
  }
}

void Server::Impl::Refuse(uint64_t serial, Session& session, const Refusal& refusal) {
  const bool attaching = session.stage == SessionStage::kOpened || session.stage == SessionStage::kWaiting ||
                         session.stage == SessionStage::kMaking;
  session.Send(attaching ? MakeAttachAnswer(refusal) : MakeAnswer(refusal.code, refusal.sentence));
  SendAndGo(serial, session);
}

}  // namespace sluice
