// run.cc - see sluice/run.h: attach, start the scheduler on the region, run main, take it all down again.
#include "sluice/run.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <semaphore>
#include <vector>

#include "runtime/io/control_client.h"
#include "runtime/net/stack.h"
#include "runtime/sched/scheduler.h"
#include "runtime/sched/slice.h"
#include "sluice/net.h"

namespace sluice {
namespace {

int Fail(int code, const std::string& sentence) {
  std::fprintf(stderr, "sluice: %s\n", sentence.c_str());
  return code;
}

// Copies `text` into a field of a message. False: it does not fit.
template <size_t N>
bool Fit(char (&field)[N], const std::string& text) {
  if (text.size() >= N) return false;
  std::memcpy(field, text.c_str(), text.size() + 1);
  return true;
}

// What the request cannot carry; empty if all fits.
std::string Fill(abi::AttachRequest* request, const RunConfig& config, const std::string& name) {
  const std::string limit = " is longer than " + std::to_string(abi::kMaxName - 1) + " bytes";
  if (!Fit(request->name, name)) return "the app's name '" + name + "'" + limit + "; give it another: --sluice-name";
  if (!Fit(request->steering, config.steering)) return "the steering policy's name '" + config.steering + "'" + limit;
  request->features = abi::kFeatures;
  if (sched::WhyNeverSliced() != nullptr) request->features &= ~uint64_t{abi::kFeatureSlices};
  request->address = config.address;
  request->kthreads = config.kthreads;
  request->guaranteed = config.guaranteed;
  request->priority = static_cast<uint32_t>(config.priority);
  request->flows = config.flows;
  return {};
}

// From an attachment to main's value.
int RunAttached(io::ControlClient& client, const RunConfig& config, const std::string& name,
                const std::function<int()>& main) {
  sched::SchedulerOptions options;
  options.region = client.region();
  if (config.stack_size != 0) options.stack_size = config.stack_size;
  options.shared_cpus = client.region().header().shared_cpus != 0;
  options.on_packets = net::OnPackets;
  net::OpenStack(client.region());
  if (const auto started = sched::Start(options); !started) {
    net::CloseStack();
    return Fail(kExitRefused, started.error());
  }

  int result = kExitRefused;
  std::binary_semaphore finished{0};
  const std::vector<pid_t> ids = sched::ThreadIds();
  const std::vector<uint32_t> thread_ids(ids.begin(), ids.end());
  if (const auto accepted = client.ReportThreads(thread_ids); !accepted) {
    Fail(kExitRefused, accepted.error().sentence);
  } else {
    std::fprintf(stderr, "sluice: %s is %s on iokerneld pid %d\n", name.c_str(),
                 AddressToString(LocalAddress()).c_str(), client.iokernel_pid());
    client.Watch(sched::IoKernelGone);
    const bool spawned = sched::SpawnFromOutside([&] {
      result = main();
      finished.release();
    });
    if (spawned) {
      finished.acquire();
    } else {
      Fail(kExitRefused, "there is no memory for the first uthread's stack");
    }
    client.StopWatching();
  }
  sched::Stop();
  sched::Join();
  net::CloseStack();
  return result;
}

}  // namespace

int Run(const RunConfig& config, const std::function<int()>& main) {
  if (!config.problem.empty()) return Fail(kExitUsage, config.problem);
  if (net::TheStack().open()) return Fail(kExitUsage, "Run was called inside of Run");
  const std::string name = config.name.empty() ? program_invocation_short_name : config.name;
  abi::AttachRequest request{};
  if (const std::string misfit = Fill(&request, config, name); !misfit.empty()) return Fail(kExitUsage, misfit);
  auto client = io::ControlClient::Attach(io::RunDirectory(config.run_dir), request);
  if (!client) return Fail(kExitRefused, client.error().sentence);
  return RunAttached(*client, config, name, main);
}

uint32_t LocalAddress() {
  const net::Stack& stack = net::TheStack();
  return stack.open() ? stack.address : 0;
}

}  // namespace sluice
