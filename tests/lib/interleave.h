// interleave.h - explores all interleavings of a few threads that share atomic words, store buffers included.
//
// The code under test is compiled with CheckedAtomic in place of std::atomic. A thread is a *program*: its Step
// function, called again and again, with a Local value that carries its state from one step to the next. One
// transition of the search is either one visible operation of a thread (a load, a read-modify-write, a futex
// call, a choice) with the thread-private code that follows it, or the flush of one store from a store buffer.
//
// No stacks are kept: a step that is in the middle is run again from its beginning, and its operations so far
// give back what they gave then (World::Thread::log). So a state is a plain value, states that were seen before
// are recognised, and the search is exhaustive even for programs that poll for ever.
//
// Memory model: x86-TSO. A store goes into the thread's own buffer and becomes visible to others when it is
// flushed; loads see the own buffer first; read-modify-writes and futex calls flush it. With `reorder` relaxed
// stores to different words may also be flushed in any order, a release store only after all that came before
// it: what a compiler may do to them. Loads are not reordered, so a missing acquire is not found.
//
// What is checked: Require() along the way, and that from every state that can be reached the end (Model::Done)
// can still be reached. A lost wake-up is a state from which it cannot.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "iokernel/abi/check.h"

namespace sluice::interleave {

inline constexpr size_t kMaxThreads = 5;
inline constexpr size_t kMaxWords = 40;
inline constexpr size_t kMaxLog = 20;
inline constexpr size_t kMaxBuffer = 10;

// A property does not hold. Thrown by Require, caught by the search.
struct Violation {
  std::string text;
};

// Memory and everything that the machine, rather than the programs, knows.
struct World {
  struct Store {
    uint64_t value;
    uint16_t word;
    bool release;
  };
  struct Thread {
    std::array<uint64_t, kMaxLog> log;  // results of the operations of the step under way
    std::array<Store, kMaxBuffer> buffer;
    uint16_t log_size;
    uint16_t buffer_size;
    uint16_t blocked_on;  // word + 1, or 0
  };
  std::array<uint64_t, kMaxWords> words{};
  std::array<Thread, kMaxThreads> threads{};
};

class Digest {
 public:
  void Add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9fb21c651e98df25;
    hash_ ^= hash_ >> 32;
  }
  [[nodiscard]] uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

// Runs one transition of one thread. One machine at a time: programs find it through Machine::current.
class Machine {
 public:
  static inline Machine* current = nullptr;

  Machine(std::vector<std::string> names, bool reorder) : names_(std::move(names)), reorder_(reorder) {}

  // Runs `step` on `world` up to the next visible operation after the first. True if the step came to its end.
  // *choices is set to the number of ways in which the transition could go.
  template <class Step>
  bool Run(World* world, void* ghost, size_t thread, uint32_t choice, uint32_t* choices, Step&& step);

  // True if store `i` of the thread's buffer may become visible now.
  [[nodiscard]] bool CanFlush(const World& world, size_t thread, size_t i) const;
  void Flush(World* world, size_t thread, size_t i);

  // Operations, called by programs.
  uint64_t Load(uint16_t word);
  void Store(uint16_t word, uint64_t value, bool release);
  template <class Change>
  uint64_t Modify(uint16_t word, Change&& change);  // returns the value before
  uint32_t Choose(uint32_t choices);
  void FutexWait(uint16_t word, uint64_t value, bool compare);
  void FutexWake(uint16_t word);
  // Runs `effect(ghost)` exactly once, together with the visible operation before it.
  template <class Ghost, class Effect>
  void OnGhost(Effect&& effect);

  void set_trace(std::ostream* trace) { trace_ = trace; }

 private:
  struct Suspend {};

  // Results are replayed while there are any.
  bool Replay(uint64_t* value);
  void BeginVisible();
  void Log(uint64_t value);
  void Drain();
  void Trace(const std::string& what, uint16_t word, uint64_t value);

  std::vector<std::string> names_;
  bool reorder_;
  std::ostream* trace_ = nullptr;

  World* world_ = nullptr;
  World::Thread* thread_ = nullptr;
  void* ghost_ = nullptr;
  size_t id_ = 0;
  size_t replayed_ = 0;
  uint32_t choice_ = 0;
  uint32_t choices_ = 1;
  bool acted_ = false;
};

inline void Require(bool condition, const char* text) {
  if (!condition) throw Violation{text};
}

// The stand-in for std::atomic. Its value lives in the World; it knows only its place there.
template <class T>
class CheckedAtomic {
 public:
  T load(std::memory_order) const { return static_cast<T>(Machine::current->Load(word())); }
  void store(T value, std::memory_order order) {
    SLUICE_CHECK(order != std::memory_order_seq_cst, "sequentially consistent stores are not modelled");
    Machine::current->Store(word(), value, order == std::memory_order_release);
  }
  T fetch_add(T by, std::memory_order) {
    return static_cast<T>(Machine::current->Modify(word(), [by](uint64_t v) { return static_cast<T>(v + by); }));
  }
  T exchange(T value, std::memory_order) {
    return static_cast<T>(Machine::current->Modify(word(), [value](uint64_t) { return value; }));
  }

  [[nodiscard]] uint16_t word() const {
    SLUICE_CHECK(word_ < kMaxWords, "an atomic is used that the model has not placed");
    return word_;
  }
  void Place(uint16_t word) { word_ = word; }

 private:
  uint16_t word_ = 0xffff;
};

// Gives each atomic that a model uses its word, name and first value.
class Placement {
 public:
  template <class T>
  void Add(CheckedAtomic<T>& atomic, std::string name, uint64_t value = 0) {
    SLUICE_CHECK(names.size() < kMaxWords, "the model uses too many atomics");
    atomic.Place(static_cast<uint16_t>(names.size()));
    names.push_back(std::move(name));
    values.push_back(value);
  }
  std::vector<std::string> names;
  std::vector<uint64_t> values;
};

struct Outcome {
  bool complete = false;  // every reachable state was seen
  std::string violation;  // empty: none
  std::string schedule;   // the operations that lead to it, one a line
  size_t states = 0;
  size_t transitions = 0;
};

// The search. A Model has
//   struct Local, struct Ghost       plain values; Ghost is what only the checker can see
//   void Place(Placement&)           once, before anything else
//   size_t threads(); Local Start(size_t thread);
//   void Step(size_t thread, Local&) one step of a program
//   bool Done(const Ghost&, const Local*, const World&)
//   bool Beyond(const Local*)        not to be followed any further, for a model without an end
//   void Key(const Local&, Digest&); void Key(const Ghost&, Digest&);   all that distinguishes two states
template <class Model>
class Search {
 public:
  Search(Model& model, bool reorder) : model_(model), machine_(Named(model, &placement_), reorder) {}

  // Breadth first, so the schedule of a violation is a shortest one. Stops at `max_states`.
  Outcome Run(size_t max_states);

 private:
  using Local = typename Model::Local;
  using Ghost = typename Model::Ghost;

  struct State {
    World world;
    std::array<Local, kMaxThreads> locals;
    Ghost ghost;
  };
  // How a state was reached first.
  struct Origin {
    uint32_t parent;
    uint8_t thread;
    uint8_t flush;  // 0: an operation; i + 1: the flush of store i
    uint8_t choice;
  };

  static std::vector<std::string> Named(Model& model, Placement* placement) {
    model.Place(*placement);
    return placement->names;
  }

  State Start();
  // Applies one transition. Returns the number of ways in which it could go.
  uint32_t Apply(State* state, const Origin& how);
  [[nodiscard]] uint64_t Key(const State& state) const;
  void Expand(const State& state, uint32_t index);
  void Reach(const State& state, const Origin& how);
  [[nodiscard]] bool IsEnd(const State& state) const;
  // The first state, in order of distance, from which no end can be reached; or none.
  [[nodiscard]] uint32_t FindStuck() const;
  [[nodiscard]] std::string Schedule(uint32_t index, const Origin* last);

  static constexpr uint32_t kNone = ~0u;

  Model& model_;
  Placement placement_;
  Machine machine_;
  std::unordered_map<uint64_t, uint32_t> seen_;
  std::vector<Origin> origins_;
  std::vector<bool> ends_;
  std::vector<std::pair<uint32_t, uint32_t>> edges_;  // from, to
  std::deque<std::pair<State, uint32_t>> frontier_;
};

}  // namespace sluice::interleave

#include "tests/lib/interleave_inl.h"
