// commands.h - what sluicectl orders, beside what it only asks: flows, explanations, recordings.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/abi/control.h"

namespace sluice::ctl {

// "10.0.0.9:4242" and "10.0.0.2:80/udp" into the fields of a command. Error: a sentence.
tl::expected<void, std::string> SetFlow(const std::string& source, const std::string& destination,
                                        abi::CommandRequest* command);
// "64M", "1G", "500000".
std::optional<uint64_t> ParseBytes(const std::string& text);

// The texts are what iokerneld answered, or errors for a person.
tl::expected<std::string, std::string> Explain(const std::string& run_dir, const std::string& source,
                                               const std::string& destination);
tl::expected<std::string, std::string> ChangeFlow(const std::string& run_dir, bool add, const std::string& source,
                                                  const std::string& destination, std::optional<uint16_t> home);
tl::expected<std::string, std::string> ListFlows(const std::string& run_dir, const std::string& app);

// Creates or empties `file` with the caller's rights and hands it to iokerneld.
tl::expected<std::string, std::string> StartRecording(const std::string& run_dir, const std::string& file,
                                                      const std::string& limit);
// Returns when the file is complete.
tl::expected<std::string, std::string> StopRecording(const std::string& run_dir);

}  // namespace sluice::ctl
