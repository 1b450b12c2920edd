// record_print.h - a file of recorded decisions as lines of JSON, one record each, the header first.
#pragma once

#include <cstdio>
#include <string>
#include <tl/expected.hpp>

namespace sluice::ctl {

// Error: what is wrong with the file, after what could be read was printed.
tl::expected<void, std::string> PrintRecord(const std::string& file, std::FILE* out);

}  // namespace sluice::ctl
