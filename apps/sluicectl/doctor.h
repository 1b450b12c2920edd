// doctor.h - is this machine fit for Sluice? Looks only; needs no daemon. Each finding has the command that mends it.
#pragma once

#include <string>
#include <vector>

namespace sluice::ctl {

enum class Verdict { kPass, kWarn, kFail };

struct Finding {
  std::string what;  // "hugepages"
  Verdict verdict = Verdict::kPass;
  std::string found;  // what is there
  std::string mend;   // a command; empty if nothing needs mending
};

// One for each check, in a fixed order. `port`: as iokerneld's --port, or empty.
std::vector<Finding> Examine(const std::string& port);

std::string FindingsTable(const std::vector<Finding>& findings);
std::string FindingsJson(const std::vector<Finding>& findings);
bool AnyFails(const std::vector<Finding>& findings);

// interfaces.cc: a port's interface and, of a veth, its peer's checksum offload.
void ExamineInterfaces(const std::string& port, std::vector<Finding>& findings);

}  // namespace sluice::ctl
