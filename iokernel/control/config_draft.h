// config_draft.h - a configuration as it was written: every value with the place it was written at.
//
// The TOML file (config_toml.cc) and the flags (flags.cc) both end here, so both are checked by the same code
// (config_check.cc), and an error can point at its line or flag.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct Place {
  std::string source;  // "sluice.toml" or "--port"
  uint32_t line = 0;   // 0: a flag
  uint32_t column = 0;
  std::string what;  // "[iokernel] port"; empty for a flag, whose source says it
};

template <class T>
struct Written {
  T value{};
  Place place;
};

template <class T>
using Maybe = std::optional<Written<T>>;

struct AppDraft {
  Place place;  // of the [[app]] itself
  Maybe<std::string> name, address, priority, steering;
  Maybe<int64_t> guaranteed, max, flows, slice_us;
};

struct ConfigDraft {
  Maybe<std::string> port, run_dir, grant, idle_burner;
  Maybe<int64_t> interval_us, cpu;
  std::optional<std::vector<Written<std::string>>> cores;
  Place cores_place;
  Maybe<std::string> steering, pick, congestion, placement;
  Maybe<std::string> address;
  std::optional<std::vector<Written<std::string>>> routes;
  std::vector<AppDraft> apps;
};

// Collects what is wrong, to be told all at once in the order of the text.
class ConfigErrors {
 public:
  // "sluice.toml:3:8: [iokernel] port: got "eth", allowed: ..., did you mean ...?"
  void Add(const Place& place, std::string_view got, std::string_view allowed, std::string_view meant = {});
  // For what does not fit that form.
  void AddText(const Place& place, std::string_view text);
  [[nodiscard]] bool empty() const { return errors_.empty(); }
  [[nodiscard]] std::vector<std::string> Sorted() const;  // the file's by line, then the flags'

 private:
  struct Entry {
    uint32_t line, column;
    std::string text;
  };
  std::vector<Entry> errors_;
};

// TOML text to a draft. `file` names it in errors. Never fails: what cannot be used is reported and left out.
ConfigDraft ReadToml(std::string_view text, const std::string& file, ConfigErrors& errors);

// Puts what `flags` says over what `file` says; lists are replaced whole.
ConfigDraft Overlay(ConfigDraft file, const ConfigDraft& flags);

}  // namespace sluice
