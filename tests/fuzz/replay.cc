// replay.cc - runs a fuzz target without libFuzzer: every file of a corpus, then seeded mutations of them.
//
//   TARGET CORPUS_DIRECTORY MUTATIONS [SEED]
//   TARGET FILE                             one input, to look into a crash
//
// When the target dies the input is written to stderr in hex, ready for `xxd -r -p`.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// There under the sanitizers only, which end the process without a signal.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using Input = std::vector<uint8_t>;

constexpr size_t kMaxInputBytes = 16384;
Input current;

// Async-signal-safe: formats on the stack, writes, allocates nothing.
void DumpInput() {
  static const char kDigits[] = "0123456789abcdef";
  char line[64];
  size_t used = 0;
  const char head[] = "fuzz input in hex:\n";
  (void)!write(STDERR_FILENO, head, sizeof(head) - 1);
  for (size_t i = 0; i < current.size(); ++i) {
    line[used++] = kDigits[current[i] >> 4];
    line[used++] = kDigits[current[i] & 15];
    if (used == sizeof(line) || i + 1 == current.size()) {
      (void)!write(STDERR_FILENO, line, used);
      (void)!write(STDERR_FILENO, "\n", 1);
      used = 0;
    }
  }
}

void OnDeath(int number) {
  DumpInput();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void Run(Input input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

Input ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  Input Mutate(const std::vector<Input>& corpus) {
    Input input = corpus[Below(corpus.size())];
    for (size_t left = 1 + Below(6); left > 0; --left) Step(corpus, &input);
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }

  void Step(const std::vector<Input>& corpus, Input* input) {
    static constexpr uint8_t kEdges[] = {0, 1, 4, 5, 0x0f, 0x45, 0x7f, 0x80, 0xfe, 0xff};
    if (input->empty()) {
      input->push_back(static_cast<uint8_t>(random_()));
      return;
    }
    const size_t at = Below(input->size());
    const auto place = input->begin() + static_cast<ptrdiff_t>(at);
    switch (Below(7)) {
      case 0:
        (*input)[at] ^= static_cast<uint8_t>(1u << Below(8));
        return;
      case 1:
        (*input)[at] = kEdges[Below(std::size(kEdges))];
        return;
      case 2:
        (*input)[at] = static_cast<uint8_t>(random_());
        return;
      case 3:
        input->resize(at);
        return;
      case 4:
        input->insert(place, 1 + Below(16), static_cast<uint8_t>(random_()));
        return;
      case 5:
        input->erase(place, place + static_cast<ptrdiff_t>(1 + Below(input->size() - at)));
        return;
      default: {
        const Input& other = corpus[Below(corpus.size())];
        if (!other.empty()) {
          input->resize(at);
          input->insert(input->end(), other.begin() + static_cast<ptrdiff_t>(Below(other.size())), other.end());
        }
      }
    }
  }

  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY MUTATIONS [SEED] | %s FILE\n", argv[0], argv[0]);
    return 2;
  }
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, OnDeath);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(DumpInput);

  const std::filesystem::path path = argv[1];
  if (std::filesystem::is_regular_file(path)) {
    Run(ReadFile(path));
    return 0;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  // The directory's order is the file system's; a seed must mean the same everywhere.
  std::sort(files.begin(), files.end());
  std::vector<Input> corpus;
  corpus.reserve(files.size());
  for (const auto& file : files) corpus.push_back(ReadFile(file));
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no files there\n", argv[1]);
    return 1;
  }

  const uint64_t mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  Run({});
  for (const Input& input : corpus) Run(input);
  Mutator mutator(seed);
  for (uint64_t i = 0; i < mutations; ++i) Run(mutator.Mutate(corpus));
  std::printf("%zu inputs and %llu mutations of them, seed %llu: no fault\n", corpus.size(),
              static_cast<unsigned long long>(mutations), static_cast<unsigned long long>(seed));
  return 0;
}
