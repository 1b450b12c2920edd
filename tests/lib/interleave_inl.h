// interleave_inl.h - the bodies of interleave.h. Include that.
#pragma once

namespace sluice::interleave {

// ---- one transition -------------------------------------------------------------------------------

template <class Step>
bool Machine::Run(World* world, void* ghost, size_t thread, uint32_t choice, uint32_t* choices, Step&& step) {
  world_ = world;
  thread_ = &world->threads[thread];
  ghost_ = ghost;
  id_ = thread;
  replayed_ = 0;
  choice_ = choice;
  choices_ = 1;
  acted_ = false;
  current = this;
  bool ended = false;
  try {
    step();
    thread_->log_size = 0;
    thread_->log = {};
    ended = true;
  } catch (const Suspend&) {
  }
  *choices = choices_;
  return ended;
}

inline bool Machine::Replay(uint64_t* value) {
  if (replayed_ == thread_->log_size) return false;
  *value = thread_->log[replayed_++];
  return true;
}

// One visible operation a transition: the next one has to wait for another.
inline void Machine::BeginVisible() {
  if (acted_) throw Suspend{};
  acted_ = true;
}

inline void Machine::Log(uint64_t value) {
  SLUICE_CHECK(thread_->log_size < kMaxLog, "a step has too many operations; cut it in two");
  thread_->log[thread_->log_size++] = value;
  replayed_ = thread_->log_size;
}

inline uint64_t Machine::Load(uint16_t word) {
  uint64_t value;
  if (Replay(&value)) return value;
  BeginVisible();
  value = world_->words[word];
  for (size_t i = thread_->buffer_size; i-- > 0;) {
    if (thread_->buffer[i].word != word) continue;
    value = thread_->buffer[i].value;
    break;
  }
  Log(value);
  Trace("loads", word, value);
  return value;
}

// Into the buffer, which nobody else can see: not a transition of its own.
inline void Machine::Store(uint16_t word, uint64_t value, bool release) {
  uint64_t ignored;
  if (Replay(&ignored)) return;
  if (thread_->buffer_size == kMaxBuffer) throw Suspend{};  // goes on after a flush
  thread_->buffer[thread_->buffer_size++] = {value, word, release};
  Log(0);
  Trace(release ? "stores (release)" : "stores", word, value);
}

template <class Change>
uint64_t Machine::Modify(uint16_t word, Change&& change) {
  uint64_t value;
  if (Replay(&value)) return value;
  BeginVisible();
  Drain();
  value = world_->words[word];
  world_->words[word] = change(value);
  Log(value);
  Trace("modifies", word, world_->words[word]);
  return value;
}

inline uint32_t Machine::Choose(uint32_t choices) {
  uint64_t value;
  if (Replay(&value)) return static_cast<uint32_t>(value);
  BeginVisible();
  choices_ = choices;
  Log(choice_);
  if (trace_ != nullptr) *trace_ << "  thread " << id_ << " chooses " << choice_ << " of " << choices << "\n";
  return choice_;
}

// The kernel compares after a full barrier, in one step with going to sleep.
inline void Machine::FutexWait(uint16_t word, uint64_t value, bool compare) {
  uint64_t ignored;
  if (Replay(&ignored)) return;
  BeginVisible();
  Drain();
  Log(0);
  if (compare && world_->words[word] != value) {
    Trace("does not sleep on", word, world_->words[word]);
    return;
  }
  Trace("sleeps on", word, world_->words[word]);
  thread_->blocked_on = static_cast<uint16_t>(word + 1);
  throw Suspend{};
}

inline void Machine::FutexWake(uint16_t word) {
  uint64_t ignored;
  if (Replay(&ignored)) return;
  BeginVisible();
  Drain();
  for (World::Thread& thread : world_->threads) {
    if (thread.blocked_on == word + 1) thread.blocked_on = 0;
  }
  Log(0);
  Trace("wakes sleepers on", word, world_->words[word]);
}

template <class Ghost, class Effect>
void Machine::OnGhost(Effect&& effect) {
  uint64_t ignored;
  if (Replay(&ignored)) return;
  Log(0);
  effect(*static_cast<Ghost*>(ghost_));
}

inline void Machine::Drain() {
  for (size_t i = 0; i < thread_->buffer_size; ++i) world_->words[thread_->buffer[i].word] = thread_->buffer[i].value;
  thread_->buffer_size = 0;
  thread_->buffer = {};
}

inline bool Machine::CanFlush(const World& world, size_t thread, size_t i) const {
  const World::Thread& t = world.threads[thread];
  if (i == 0) return true;
  if (!reorder_ || t.buffer[i].release) return false;
  for (size_t earlier = 0; earlier < i; ++earlier) {
    if (t.buffer[earlier].word == t.buffer[i].word) return false;
  }
  return true;
}

inline void Machine::Flush(World* world, size_t thread, size_t i) {
  World::Thread& t = world->threads[thread];
  const World::Store store = t.buffer[i];
  world->words[store.word] = store.value;
  for (size_t j = i + 1; j < t.buffer_size; ++j) t.buffer[j - 1] = t.buffer[j];
  t.buffer[--t.buffer_size] = {};
  id_ = thread;
  Trace("'s store becomes visible in", store.word, store.value);
}

inline void Machine::Trace(const std::string& what, uint16_t word, uint64_t value) {
  if (trace_ == nullptr) return;
  *trace_ << "  thread " << id_ << (what[0] == '\'' ? "" : " ") << what << " " << names_[word] << " = "
          << static_cast<int64_t>(value) << "\n";
}

// ---- the search -----------------------------------------------------------------------------------

template <class Model>
typename Search<Model>::State Search<Model>::Start() {
  State state{};
  for (size_t i = 0; i < placement_.values.size(); ++i) state.world.words[i] = placement_.values[i];
  for (size_t t = 0; t < model_.threads(); ++t) state.locals[t] = model_.Start(t);
  return state;
}

template <class Model>
uint32_t Search<Model>::Apply(State* state, const Origin& how) {
  if (how.flush != 0) {
    machine_.Flush(&state->world, how.thread, how.flush - 1u);
    return 1;
  }
  Local local = state->locals[how.thread];
  uint32_t choices = 1;
  if (machine_.Run(&state->world, &state->ghost, how.thread, how.choice, &choices,
                   [&] { model_.Step(how.thread, local); })) {
    state->locals[how.thread] = local;
  }
  return choices;
}

template <class Model>
uint64_t Search<Model>::Key(const State& state) const {
  Digest digest;
  for (size_t i = 0; i < placement_.values.size(); ++i) digest.Add(state.world.words[i]);
  for (size_t t = 0; t < model_.threads(); ++t) {
    const World::Thread& thread = state.world.threads[t];
    digest.Add(uint64_t{thread.log_size} << 32 | uint64_t{thread.buffer_size} << 16 | thread.blocked_on);
    for (size_t i = 0; i < thread.log_size; ++i) digest.Add(thread.log[i]);
    for (size_t i = 0; i < thread.buffer_size; ++i) {
      digest.Add(thread.buffer[i].value);
      digest.Add(uint64_t{thread.buffer[i].word} << 1 | (thread.buffer[i].release ? 1 : 0));
    }
    model_.Key(state.locals[t], digest);
  }
  model_.Key(state.ghost, digest);
  return digest.value();
}

template <class Model>
bool Search<Model>::IsEnd(const State& state) const {
  for (size_t t = 0; t < model_.threads(); ++t) {
    if (state.world.threads[t].buffer_size != 0) return false;
  }
  return model_.Done(state.ghost, state.locals.data(), state.world);
}

template <class Model>
void Search<Model>::Reach(const State& state, const Origin& how) {
  const auto [at, is_new] = seen_.try_emplace(Key(state), static_cast<uint32_t>(origins_.size()));
  if (how.parent != kNone) edges_.emplace_back(how.parent, at->second);
  if (!is_new) return;
  origins_.push_back(how);
  const bool beyond = model_.Beyond(state.locals.data());
  ends_.push_back(beyond || IsEnd(state));
  if (!beyond) frontier_.emplace_back(state, at->second);
}

template <class Model>
void Search<Model>::Expand(const State& state, uint32_t index) {
  for (size_t t = 0; t < model_.threads(); ++t) {
    const World::Thread& thread = state.world.threads[t];
    Origin how{index, static_cast<uint8_t>(t), 0, 0};
    const auto reach = [&] {
      State next = state;
      try {
        const uint32_t choices = Apply(&next, how);
        Reach(next, how);
        return choices;
      } catch (Violation& violation) {
        throw std::make_pair(violation, how);
      }
    };
    for (size_t i = 0; i < thread.buffer_size; ++i) {
      if (!machine_.CanFlush(state.world, t, i)) continue;
      how.flush = static_cast<uint8_t>(i + 1);
      reach();
    }
    how.flush = 0;
    if (thread.blocked_on != 0) continue;
    const uint32_t choices = reach();
    for (uint32_t c = 1; c < choices; ++c) {
      how.choice = static_cast<uint8_t>(c);
      reach();
    }
  }
}

template <class Model>
uint32_t Search<Model>::FindStuck() const {
  // Backwards from the ends, over a compact list of who leads to whom.
  std::vector<uint32_t> first(origins_.size() + 1, 0);
  for (const auto& [from, to] : edges_) ++first[to + 1];
  for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  std::vector<uint32_t> sources(edges_.size());
  std::vector<uint32_t> fill(first.begin(), first.end() - 1);
  for (const auto& [from, to] : edges_) sources[fill[to]++] = from;

  std::vector<bool> good = ends_;
  std::vector<uint32_t> todo;
  for (uint32_t i = 0; i < good.size(); ++i) {
    if (good[i]) todo.push_back(i);
  }
  while (!todo.empty()) {
    const uint32_t state = todo.back();
    todo.pop_back();
    for (uint32_t e = first[state]; e < first[state + 1]; ++e) {
      if (good[sources[e]]) continue;
      good[sources[e]] = true;
      todo.push_back(sources[e]);
    }
  }
  for (uint32_t i = 0; i < good.size(); ++i) {
    if (!good[i]) return i;
  }
  return kNone;
}

template <class Model>
std::string Search<Model>::Schedule(uint32_t index, const Origin* last) {
  std::vector<Origin> path;
  if (last != nullptr) path.push_back(*last);
  for (uint32_t i = index; origins_[i].parent != kNone; i = origins_[i].parent) path.push_back(origins_[i]);
  std::ostringstream out;
  machine_.set_trace(&out);
  State state = Start();
  try {
    for (size_t i = path.size(); i-- > 0;) Apply(&state, path[i]);
  } catch (const Violation& violation) {
    out << "  " << violation.text << "\n";
  }
  machine_.set_trace(nullptr);
  return out.str();
}

template <class Model>
Outcome Search<Model>::Run(size_t max_states) {
  Outcome outcome;
  Reach(Start(), {kNone, 0, 0, 0});
  try {
    while (!frontier_.empty() && origins_.size() < max_states) {
      const auto [state, index] = std::move(frontier_.front());
      frontier_.pop_front();
      Expand(state, index);
    }
    outcome.complete = frontier_.empty();
    if (outcome.complete) {
      if (const uint32_t stuck = FindStuck(); stuck != kNone) {
        outcome.violation = "the end cannot be reached any more";
        outcome.schedule = Schedule(stuck, nullptr);
      }
    }
  } catch (const std::pair<Violation, Origin>& found) {
    outcome.violation = found.first.text;
    outcome.schedule = Schedule(found.second.parent, &found.second);
  }
  outcome.states = origins_.size();
  outcome.transitions = edges_.size();
  return outcome;
}

}  // namespace sluice::interleave
