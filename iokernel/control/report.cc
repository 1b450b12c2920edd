// report.cc - see report.h.
#include "iokernel/control/report.h"

#include <nlohmann/json.hpp>

#include "iokernel/control/units.h"
#include "policies/parameters.h"
#include "policies/registry.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// {"counters": {...}, "drops": {...}}, all that ForEach names.
template <class Counters>
void AddCounters(const Counters& counters, Json& json) {
  json["counters"] = Json::object();
  ForEach(counters, [&json](std::string_view name, uint64_t value, bool drop) {
    json[drop ? "drops" : "counters"][std::string(name)] = value;
  });
}

const char* PriorityName(Priority priority) {
  return priority == Priority::kBestEffort ? "best-effort" : "latency-critical";
}

const char* StageName(const Tenant& tenant) {
  switch (tenant.stage) {
    case Tenant::Stage::kAttached:
      return "attached";
    case Tenant::Stage::kDetaching:
    case Tenant::Stage::kFreeing:
      return "leaving";
    default:
      return tenant.leaving ? "leaving" : "attaching";
  }
}

Json DescribeApp(const Tenant& tenant) {
  const AppParams& params = tenant.params;
  return {{"id", params.id},
          {"name", params.name},
          {"address", FormatIpv4(params.address)},
          {"pid", tenant.pid},
          {"command", tenant.command},
          {"state", StageName(tenant)},
          {"epoch", params.epoch},
          {"priority", PriorityName(params.priority)},
          {"guaranteed", params.guaranteed},
          {"max", params.geometry.kthreads},
          {"slice_us", params.slice_us},
          {"steering", params.steering}};
}

// What the runtime itself counts, in memory that the app may write: shown, believed by nobody.
void AddRuntimeCounters(const abi::RuntimeCounters& counters, Json& json) {
  const auto get = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  json["runtime"] = {{"rx_packets", get(counters.rx_packets)},
                     {"rx_stolen", get(counters.rx_stolen)},
                     {"uthreads_run", get(counters.uthreads_run)},
                     {"uthreads_stolen", get(counters.uthreads_stolen)},
                     {"parks", get(counters.parks)},
                     {"preemptions", get(counters.preemptions)},
                     {"slices", get(counters.slices)}};
  json["drops"] = {{"tx_full", get(counters.tx_full)},          {"checksum", get(counters.drop_checksum)},
                   {"malformed", get(counters.drop_malformed)}, {"fragment", get(counters.drop_fragment)},
                   {"no_socket", get(counters.drop_no_socket)}, {"queue_full", get(counters.drop_queue_full)},
                   {"protocol", get(counters.drop_protocol)}};
}

Json DescribeKthread(const Tenant& tenant, uint32_t k) {
  const KthreadCounters& counters = tenant.app->kthread_counters()[k];
  const abi::KthreadBlock& block = *tenant.app->layout().Kthread(tenant.app->base(), k);
  Json json = {{"id", k},
               {"tid", k < tenant.tids.size() ? tenant.tids[k] : 0},
               {"rx_packets", counters.rx_packets.Get()},
               {"tx_packets", counters.tx_packets.Get()},
               {"grants", counters.grants.Get()},
               {"core", nullptr}};
  const uint32_t generation = block.grant.generation.load(std::memory_order_relaxed);
  if (generation != block.signal.parked.load(std::memory_order_relaxed)) {
    json["core"] = block.grant.core.load(std::memory_order_relaxed);
  }
  AddRuntimeCounters(block.counters, json);
  return json;
}

Json AppStat(const Tenant& tenant) {
  Json json = DescribeApp(tenant);
  if (tenant.app == nullptr) return json;  // being made or freed
  json["region_bytes"] = tenant.app->region_bytes();
  json["resident_bytes"] = tenant.app->resident_bytes();
  json["table_bytes"] = tenant.app->table_bytes();
  json["rx_buffers"] = tenant.params.geometry.rx_buffers;
  AddCounters(tenant.app->counters(), json);
  json["kthreads"] = Json::array();
  for (uint32_t k = 0; k < tenant.params.geometry.kthreads; ++k) json["kthreads"].push_back(DescribeKthread(tenant, k));
  return json;
}

Json DescribeDaemon(const ReportSources& sources) {
  const Config& config = sources.options.config;
  Json json = {{"version", SLUICE_VERSION},
               {"pid", getpid()},
               {"uptime_s", static_cast<double>(sources.uptime_ms) / 1000},
               {"run_dir", config.run_dir},
               {"address", nullptr},
               {"loop_cpu", config.loop_cpu},
               {"cores", {{"slots", config.core_cpus.size()}, {"cpus", config.core_cpus}}},
               {"oversubscribed", config.shared_cpus},
               {"interval_us", config.interval_us},
               {"tsc_hz", sources.options.tsc_hz},
               {"steering", config.steering},
               {"pick", config.pick},
               {"congestion", config.congestion},
               {"placement", config.placement},
               {"fallbacks", sources.options.fallbacks}};
  if (config.address) json["address"] = FormatIpv4Net(*config.address);
  return json;
}

Json DescribePort(const ReportSources& sources) {
  const Port* port = sources.options.port;
  if (port == nullptr) return nullptr;
  const PortInfo& info = port->info();
  Json json = {{"name", info.name},
               {"driver", info.driver},
               {"mtu", info.mtu},
               {"link_up", port->link_up()},
               {"rss_hash", info.capabilities.rss_hash},
               {"rx_ip_checksum", info.capabilities.rx_ip_checksum},
               {"rx_l4_checksum", info.capabilities.rx_l4_checksum}};
  AddCounters(port->counters(), json);
  const Port::DriverCounters driver = port->driver_counters();
  json["drops"] = {{"rx_missed", driver.rx_missed},
                   {"rx_errors", driver.rx_errors},
                   {"rx_no_mbuf", driver.rx_no_mbuf},
                   {"tx_errors", driver.tx_errors}};
  return json;
}

// [{"below_us": x, "grants": n}, ...]; entry n of `counts` has those of 2^n to 2^(n + 1) ticks.
template <class Counts>
Json Histogram(const Counts& counts, const abi::TickRate& rate) {
  Json json = Json::array();
  for (size_t n = 0; n < counts.size(); ++n) {
    const uint64_t count = counts[n];
    if (count != 0) json.push_back({{"below_us", rate.ToUs(abi::Ticks{2} << n)}, {"grants", count}});
  }
  return json;
}

Json DescribeGrants(const ReportSources& sources) {
  const AllocatorCounters& allocator = sources.dataplane.allocator_counters();
  const BackendCounters& backend = sources.backend.counters();
  const abi::TickRate rate(sources.options.tsc_hz);
  const auto get = [](const BrainCounter& counter) { return static_cast<uint64_t>(counter); };
  return {{"backend", sources.backend.name()},
          {"passes", get(allocator.passes)},
          {"grants", get(allocator.grants)},
          {"starts", get(allocator.starts)},
          {"start_max_us", rate.ToUs(get(allocator.start_ticks_max))},
          {"parks", get(allocator.parks)},
          {"cedes", get(allocator.cedes)},
          {"ceded", get(allocator.ceded)},
          {"cede_max_us", rate.ToUs(get(allocator.cede_ticks_max))},
          {"signals", get(allocator.signals)},
          {"evictions", get(allocator.evictions)},
          {"slices", get(allocator.slices)},
          {"slices_deferred", get(allocator.slices_deferred)},
          {"deferred", get(allocator.deferred)},
          {"lies", get(allocator.lies)},
          {"wakes", backend.wakes.load(std::memory_order_relaxed)},
          {"moves", backend.moves.load(std::memory_order_relaxed)},
          {"interrupts", backend.interrupts.load(std::memory_order_relaxed)},
          {"turns", backend.turns.load(std::memory_order_relaxed)},
          {"overstays", backend.overstays.load(std::memory_order_relaxed)},
          {"failures", backend.failures.load(std::memory_order_relaxed)},
          // From the grant to its acknowledgement, as the loop saw it; and to the return from the kernel, as the
          // kernel saw it (ksched only).
          {"latency", Histogram(allocator.start_ticks_log2, rate)},
          {"kernel_latency", Histogram(sources.backend.KernelLatency(), rate)}};
}

Json Stat(const ReportSources& sources) {
  Json json;
  json["iokerneld"] = DescribeDaemon(sources);
  json["port"] = DescribePort(sources);
  json["loop"] = Json::object();
  AddCounters(sources.dataplane.loop_counters(), json["loop"]);
  json["grants"] = DescribeGrants(sources);
  json["apps"] = Json::array();
  for (const Tenant* tenant : sources.tenants) json["apps"].push_back(AppStat(*tenant));
  return json;
}

Json Apps(const ReportSources& sources) {
  Json json;
  json["apps"] = Json::array();
  for (const Tenant* tenant : sources.tenants) json["apps"].push_back(DescribeApp(*tenant));
  return json;
}

Json Policies(const ReportSources& sources) {
  const Config& config = sources.options.config;
  Json json;
  json["policies"] = Json::array();
  for (const PolicyInfo& policy : PolicyList()) {
    const std::string& chosen = policy.kind == PolicyKind::kSteering     ? config.steering
                                : policy.kind == PolicyKind::kPick       ? config.pick
                                : policy.kind == PolicyKind::kCongestion ? config.congestion
                                                                         : config.placement;
    json["policies"].push_back({{"kind", PolicyKindName(policy.kind)},
                                {"name", policy.name},
                                {"summary", policy.summary},
                                {"in_force", policy.name == SplitPolicy(chosen).name}});
  }
  return json;
}

}  // namespace

std::string RecordingText(const RecordingStatus& status) {
  const Json json = {{"running", status.running}, {"bytes", status.bytes},     {"limit_bytes", status.limit_bytes},
                     {"records", status.records}, {"dropped", status.dropped}, {"ended", status.ended}};
  return json.dump();
}

tl::expected<std::string, Refusal> AnswerQuery(const std::string& what, const ReportSources& sources) {
  Json json;
  if (what == "stat") {
    json = Stat(sources);
  } else if (what == "apps") {
    json = Apps(sources);
  } else if (what == "policies") {
    json = Policies(sources);
  } else if (what == "record") {
    return RecordingText(sources.recording);
  } else {
    return tl::make_unexpected(
        Refusal{abi::AnswerCode::kUnknownQuery, "iokerneld answers stat, apps, policies and record, not " + what});
  }
  // A process may call itself anything: what is not UTF-8 is replaced.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
