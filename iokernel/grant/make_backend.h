// make_backend.h - the grant backend that the operator named.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "iokernel/grant/backend.h"
#include "iokernel/grant/futex.h"

namespace sluice {

struct ChosenBackend {
  std::unique_ptr<GrantBackend> backend;
  std::string note;  // what "auto" fell back to and why; empty: nothing to say
};

// `name`: "auto" (the best there is), "futex" or "ksched". Error: a sentence.
[[nodiscard]] tl::expected<ChosenBackend, std::string> MakeBackend(std::string_view name, const FutexOptions& options);

}  // namespace sluice
