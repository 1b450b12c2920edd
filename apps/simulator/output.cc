#include "apps/simulator/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::sim {

Output::~Output() {
  if (fd_ >= 0 && !standard()) close(fd_);
  if (made_) unlink(path_.c_str());
}

tl::expected<void, std::string> Output::OpenAll(std::initializer_list<Output*> outputs) {
  for (Output* const* one = outputs.begin(); one != outputs.end(); ++one) {
    for (Output* const* other = outputs.begin(); other != one; ++other) {
      if ((*one)->wanted() && (*one)->path_ == (*other)->path_) {
        return tl::unexpected((*other)->flag_ + " and " + (*one)->flag_ + ": both are to go to " + (*one)->path_);
      }
    }
    if (auto opened = (*one)->Open(); !opened) return opened;
  }
  return {};
}

tl::expected<void, std::string> Output::Open() {
  if (!wanted()) return {};
  if (standard()) {
    fd_ = STDOUT_FILENO;
    return {};
  }
  fd_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    made_ = fd_ >= 0;
  }
  if (fd_ < 0) return Refusal();
  return {};
}

tl::expected<void, std::string> Output::Write(std::string_view bytes) {
  struct stat about {};
  if (fstat(fd_, &about) != 0) return Refusal();
  // What the standard output is appended to stays; a pipe cannot be emptied.
  if (!standard() && S_ISREG(about.st_mode) && ftruncate(fd_, 0) != 0) return Refusal();
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Refusal();
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  made_ = false;
  return {};
}

tl::unexpected<std::string> Output::Refusal() const {
  return tl::unexpected(flag_ + " " + path_ + ": cannot be written: " + std::strerror(errno));
}

}  // namespace sluice::sim
