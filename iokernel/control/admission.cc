// admission.cc - see admission.h.
#include "iokernel/control/admission.h"

#include <algorithm>
#include <bit>

#include "iokernel/control/units.h"
#include "policies/registry.h"

namespace sluice {
namespace {

using abi::AnswerCode;

tl::unexpected<Refusal> Refuse(AnswerCode code, std::string sentence) {
  return tl::make_unexpected(Refusal{code, std::move(sentence)});
}

const Holder* HolderOf(std::span<const Holder> holders, uint32_t address) {
  const auto found =
      std::find_if(holders.begin(), holders.end(), [&](const Holder& h) { return h.address == address; });
  return found == holders.end() ? nullptr : &*found;
}

std::string HeldBy(const Holder& holder) {
  return " is held by " + Describe(holder) + (holder.leaving ? ", which is just leaving" : "");
}

// Every kthread's fill ring has room for all buffers, so their number is bounded where there are many kthreads.
abi::Geometry GeometryFor(uint16_t kthreads, uint16_t mtu) {
  constexpr uint32_t kBuffersPerKthread = 256;
  constexpr uint32_t kMostBuffers = 16384;
  abi::Geometry geometry;
  geometry.kthreads = kthreads;
  geometry.rx_buffers = std::clamp(std::bit_ceil(kthreads * kBuffersPerKthread), geometry.rx_buffers, kMostBuffers);
  geometry.fill_slots = geometry.rx_buffers;
  geometry.buffer_size = std::max(geometry.buffer_size, (mtu + 63u) / 64 * 64);
  return geometry;
}

}  // namespace

std::string Describe(const Holder& holder) {
  return "pid " + std::to_string(holder.pid) + (holder.command.empty() ? "" : " (" + holder.command + ")");
}

Admission::Admission(const Config& config, uint16_t mtu, uint64_t tsc_hz)
    : config_(config), mtu_(mtu), tsc_hz_(tsc_hz) {}

tl::expected<AppParams, Refusal> Admission::Admit(const AttachWish& wish, std::span<const Holder> holders) const {
  for (const Holder& holder : holders) {
    if (holder.name == wish.name) {
      return Refuse(AnswerCode::kNameTaken, "the name " + wish.name + HeldBy(holder));
    }
  }
  const AppConfig* entry = Entry(wish.name);
  const auto slots = static_cast<uint32_t>(config_.core_cpus.size());
  AppParams params;
  params.name = wish.name;
  params.cores = static_cast<uint16_t>(slots);
  params.tsc_hz = tsc_hz_;
  params.mtu = mtu_;
  params.shared_cpus = config_.shared_cpus;

  const uint32_t limit = std::min<uint32_t>(entry != nullptr && entry->max > 0 ? entry->max : slots, abi::kMaxKthreads);
  const uint32_t kthreads = wish.kthreads == 0 ? limit : std::min(wish.kthreads, limit);
  params.geometry = GeometryFor(static_cast<uint16_t>(kthreads), mtu_);

  const uint32_t granted = entry != nullptr ? entry->guaranteed : 0;
  if (wish.guaranteed > kthreads) {
    return Refuse(AnswerCode::kNoCores, std::to_string(wish.guaranteed) + " guaranteed cores are more than the " +
                                            std::to_string(kthreads) + " that " + wish.name + " can use");
  }
  if (granted > 0 && wish.guaranteed > granted) {
    return Refuse(AnswerCode::kNoCores, "the config guarantees " + wish.name + " " + std::to_string(granted) +
                                            " cores, it asks for " + std::to_string(wish.guaranteed));
  }
  params.guaranteed = static_cast<uint16_t>(std::min(wish.guaranteed != 0 ? wish.guaranteed : granted, kthreads));
  if (auto fits = CheckGuarantee(params, holders); !fits) return tl::make_unexpected(fits.error());

  const bool modest = wish.priority == 2 || (entry != nullptr && entry->priority == Priority::kBestEffort);
  params.priority = modest ? Priority::kBestEffort : Priority::kLatencyCritical;
  if (!wish.steering.empty() && !IsPolicy(PolicyKind::kSteering, wish.steering)) {
    return Refuse(AnswerCode::kUnknownPolicy, UnknownPolicy(PolicyKind::kSteering, wish.steering));
  }
  params.steering = entry != nullptr && !entry->steering.empty() ? entry->steering
                    : !wish.steering.empty()                     ? wish.steering
                                                                 : config_.steering;
  params.slice_us = entry != nullptr ? entry->slice_us : 0;
  const uint32_t most_flows = entry != nullptr ? entry->flows : AppConfig{}.flows;
  params.flows = wish.flows == 0 ? most_flows : std::min(wish.flows, most_flows);

  const auto address = ChooseAddress(wish, entry, holders);
  if (!address) return tl::make_unexpected(address.error());
  params.address = *address;
  params.prefix_bits = config_.address ? config_.address->prefix_bits : 32;
  return params;
}

tl::expected<void, Refusal> Admission::CheckGuarantee(const AppParams& params, std::span<const Holder> holders) const {
  // Entries whose app is not there keep their guarantee.
  size_t sum = params.guaranteed;
  std::string terms = std::to_string(params.guaranteed);
  const auto add = [&](uint16_t cores, const std::string& name) {
    if (cores == 0) return;
    sum += cores;
    terms += " + " + std::to_string(cores) + " (" + name + ")";
  };
  for (const Holder& holder : holders) add(holder.guaranteed, holder.name);
  for (const AppConfig& app : config_.apps) {
    const bool here = std::any_of(holders.begin(), holders.end(), [&](const Holder& h) { return h.name == app.name; });
    if (!here && app.name != params.name) add(app.guaranteed, app.name);
  }
  const size_t slots = config_.core_cpus.size();
  if (params.guaranteed == 0 || sum <= slots) return {};
  return Refuse(AnswerCode::kNoCores, "guaranteed cores would be " + terms + " = " + std::to_string(sum) +
                                          ", and there are " + std::to_string(slots));
}

tl::expected<uint32_t, Refusal> Admission::ChooseAddress(const AttachWish& wish, const AppConfig* entry,
                                                         std::span<const Holder> holders) const {
  const uint32_t own = entry != nullptr ? entry->address.value_or(0) : 0;
  if (wish.address != 0 && own != 0 && wish.address != own) {
    return Refuse(AnswerCode::kAddressNotOurs, "the config gives " + wish.name + " the address " + FormatIpv4(own) +
                                                   ", not " + FormatIpv4(wish.address));
  }
  const uint32_t wanted = wish.address != 0 ? wish.address : own;
  if (!config_.address) {
    return Refuse(AnswerCode::kNoFreeAddress,
                  "iokerneld has no network to take an address from; start it with --address ADDRESS/BITS");
  }
  const Ipv4Net& net = *config_.address;
  const uint32_t first = (net.address & net.mask()) + 1;
  const uint32_t last = (net.address | ~net.mask()) - 1;
  const std::string network = FormatIpv4Net({first - 1, net.prefix_bits});
  if (wanted != 0) {
    if (wanted < first || wanted > last) {
      return Refuse(AnswerCode::kAddressNotOurs,
                    FormatIpv4(wanted) + " is no host's address in iokerneld's network " + network);
    }
    if (wanted == net.address) {
      return Refuse(AnswerCode::kAddressTaken, FormatIpv4(wanted) + " is iokerneld's own address");
    }
    if (const Holder* holder = HolderOf(holders, wanted)) {
      return Refuse(AnswerCode::kAddressTaken, FormatIpv4(wanted) + HeldBy(*holder));
    }
    if (wanted != own && Reserved(wanted)) {
      return Refuse(AnswerCode::kAddressTaken,
                    FormatIpv4(wanted) + " is kept by iokerneld's config, for another app or a gateway");
    }
    return wanted;
  }
  // At most as many are taken as there are apps, entries and routes: so this ends soon.
  for (uint32_t address = first; address <= last; ++address) {
    if (address != net.address && !Reserved(address) && HolderOf(holders, address) == nullptr) return address;
  }
  return Refuse(AnswerCode::kNoFreeAddress, "every address in " + network + " is taken");
}

const AppConfig* Admission::Entry(const std::string& name) const {
  const auto found =
      std::find_if(config_.apps.begin(), config_.apps.end(), [&](const AppConfig& a) { return a.name == name; });
  return found == config_.apps.end() ? nullptr : &*found;
}

bool Admission::Reserved(uint32_t address) const {
  return std::any_of(config_.apps.begin(), config_.apps.end(),
                     [&](const AppConfig& a) { return a.address == address; }) ||
         std::any_of(config_.routes.begin(), config_.routes.end(),
                     [&](const RouteConfig& r) { return r.via == address; });
}

}  // namespace sluice
