// output.h - the file of a result. It is opened before the work, so that a path that cannot be written is refused at
// once, and emptied only when the result is there.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice::sim {

class Output {
 public:
  // `path`: "-" is the standard output, an empty one none at all. `flag`: what the user calls it.
  Output(std::string flag, std::string path) : flag_(std::move(flag)), path_(std::move(path)) {}
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Error: a sentence; nothing has been written then. No two may have the same path.
  [[nodiscard]] static tl::expected<void, std::string> OpenAll(std::initializer_list<Output*> outputs);

  [[nodiscard]] bool wanted() const { return !path_.empty(); }
  [[nodiscard]] bool standard() const { return path_ == "-"; }
  // In the place of what was in the file. Error: a sentence.
  [[nodiscard]] tl::expected<void, std::string> Write(std::string_view bytes);

 private:
  [[nodiscard]] tl::expected<void, std::string> Open();
  [[nodiscard]] tl::unexpected<std::string> Refusal() const;  // from errno

  std::string flag_, path_;
  int fd_ = -1;
  bool made_ = false;  // there was no such file, and nothing has been written
};

}  // namespace sluice::sim
