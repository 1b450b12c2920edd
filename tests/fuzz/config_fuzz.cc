// config_fuzz.cc - any text as a config file: never a crash; what is accepted prints and parses back to the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "iokernel/abi/check.h"
#include "iokernel/control/config_parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const MachineFacts kMachine = [] {
    MachineFacts machine;
    machine.cpus = {0, 1, 2, 3, 4, 5, 6, 7};
    machine.allowed = {0, 1, 2, 3};
    machine.interfaces = {"lo", "veth0"};
    machine.pci_devices = {"0000:3b:00.0"};
    return machine;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ConfigErrors errors;
  const Config config = CheckConfig(ReadToml(text, "fuzz.toml", errors), kMachine, errors);
  if (!errors.empty()) {
    SLUICE_CHECK(!errors.Sorted().empty(), "an error without a text");
    return 0;
  }
  ConfigErrors none;
  const Config again = CheckConfig(ReadToml(PrintConfig(config), "printed.toml", none), kMachine, none);
  SLUICE_CHECK(none.empty(), "what was printed is not accepted");
  SLUICE_CHECK(again == config, "what was printed says something else");
  return 0;
}
