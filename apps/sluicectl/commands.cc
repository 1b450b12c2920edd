// commands.cc - see commands.h.
#include "apps/sluicectl/commands.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/sluicectl/query.h"

namespace sluice::ctl {
namespace {

template <class T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "10.0.0.9:4242"
bool ParseEnd(const std::string& text, uint32_t* address, uint16_t* port) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return false;
  in_addr parsed{};
  const auto number = Number<uint16_t>(std::string_view(text).substr(colon + 1));
  if (inet_pton(AF_INET, text.substr(0, colon).c_str(), &parsed) != 1 || !number || *number == 0) return false;
  *address = ntohl(parsed.s_addr);
  *port = *number;
  return *address != 0;
}

abi::CommandRequest Verb(const char* verb) {
  abi::CommandRequest command{};
  std::strncpy(command.verb, verb, sizeof command.verb - 1);
  return command;
}

}  // namespace

tl::expected<void, std::string> SetFlow(const std::string& source, const std::string& destination,
                                        abi::CommandRequest* command) {
  const size_t slash = destination.find('/');
  const std::string protocol = slash == std::string::npos ? "" : destination.substr(slash + 1);
  if (protocol != "udp" && protocol != "tcp") {
    return tl::make_unexpected("a destination is ADDRESS:PORT/udp or /tcp, such as 10.0.0.2:80/udp, not " +
                               destination);
  }
  command->protocol = protocol == "udp" ? 17 : 6;
  if (!ParseEnd(source, &command->source, &command->source_port)) {
    return tl::make_unexpected("a source is ADDRESS:PORT, such as 10.0.0.9:4242, not " + source);
  }
  if (!ParseEnd(destination.substr(0, slash), &command->destination, &command->destination_port)) {
    return tl::make_unexpected("a destination is ADDRESS:PORT/udp or /tcp, such as 10.0.0.2:80/udp, not " +
                               destination);
  }
  return {};
}

std::optional<uint64_t> ParseBytes(const std::string& text) {
  const size_t digits = text.find_first_not_of("0123456789");
  const std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  const auto number = Number<uint64_t>(std::string_view(text).substr(0, digits));
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (!number || shift < 0 || *number > UINT64_MAX >> shift) return std::nullopt;
  return *number << shift;
}

tl::expected<std::string, std::string> Explain(const std::string& run_dir, const std::string& source,
                                               const std::string& destination) {
  abi::CommandRequest command = Verb("explain");
  if (const auto set = SetFlow(source, destination, &command); !set) return tl::make_unexpected(set.error());
  return Order(run_dir, command);
}

tl::expected<std::string, std::string> ChangeFlow(const std::string& run_dir, bool add, const std::string& source,
                                                  const std::string& destination, std::optional<uint16_t> home) {
  abi::CommandRequest command = Verb(add ? "flow-add" : "flow-del");
  if (const auto set = SetFlow(source, destination, &command); !set) return tl::make_unexpected(set.error());
  command.home = home.value_or(0xffff);
  return Order(run_dir, command);
}

tl::expected<std::string, std::string> ListFlows(const std::string& run_dir, const std::string& app) {
  abi::CommandRequest command = Verb("flow-list");
  if (app.size() >= sizeof command.app) return tl::make_unexpected("no app has a name that long: " + app);
  app.copy(command.app, sizeof command.app - 1);
  return Order(run_dir, command);
}

tl::expected<std::string, std::string> StartRecording(const std::string& run_dir, const std::string& file,
                                                      const std::string& limit) {
  abi::CommandRequest command = Verb("record-start");
  if (!limit.empty()) {
    const auto bytes = ParseBytes(limit);
    if (!bytes) return tl::make_unexpected("a limit is a number of bytes, such as 64M or 1G, not " + limit);
    command.limit_bytes = *bytes;
  }
  // Not emptied here: an old recording is not lost to a daemon that is not there.
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return tl::make_unexpected(file + ": " + std::strerror(errno));
  auto answer = Order(run_dir, command, fd);
  close(fd);
  return answer;
}

tl::expected<std::string, std::string> StopRecording(const std::string& run_dir) {
  if (auto stopped = Order(run_dir, Verb("record-stop")); !stopped) return stopped;
  constexpr int kLooks = 500;
  constexpr timespec kBetween{0, 10'000'000};
  for (int i = 0; i < kLooks; ++i) {
    auto status = Ask(run_dir, "record");
    if (!status) return status;
    const auto json = nlohmann::json::parse(*status, nullptr, false);
    if (json.is_object() && json.value("running", true) == false) return status;
    nanosleep(&kBetween, nullptr);
  }
  return tl::make_unexpected(std::string("the recording has not ended within 5 s; see: sluicectl record status"));
}

}  // namespace sluice::ctl
