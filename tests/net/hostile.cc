// hostile.cc - an app that does what no app should, in a loop, to show that it hurts nobody but itself.
//
//   hostile --run-dir DIR --address A --mode scribble|double|punch|liar|control --seconds S --seed N
//
// Exits 0 when the time is over. Being detached is no failure: it attaches again and goes on.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "apps/lib/parse.h"
#include "iokernel/abi/message.h"
#include "runtime/io/control_client.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string run_dir;
  std::string address;
  std::string mode = "scribble";
  double seconds = 2;
  uint64_t seed = 1;
};

class Attacker {
 public:
  Attacker(const Options& options, uint32_t address)
      : options_(options),
        address_(address),
        random_(options.seed),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds))) {}

  int Run() {
    while (!Over()) {
      if (options_.mode == "control") {
        SendRubbish();
      } else {
        Attack();
      }
    }
    std::printf("hostile: %s, seed %lu: attached %lu times, %lu acts\n", options_.mode.c_str(), options_.seed,
                attached_, acts_);
    return options_.mode == "control" || attached_ > 0 ? 0 : 1;
  }

 private:
  [[nodiscard]] bool Over() const { return Clock::now() >= end_; }
  uint64_t Random() { return random_(); }
  static void Pause() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

  [[nodiscard]] abi::AttachRequest Request() const {
    abi::AttachRequest request{};
    std::strcpy(request.name, "hostile");
    request.address = address_;
    request.kthreads = 2;
    return request;
  }

  // One attachment, until it is taken away or the time is over.
  void Attack() {
    auto client = io::ControlClient::Attach(options_.run_dir, Request());
    if (!client) return Pause();  // the last attachment is still being cleaned up
    ++attached_;
    std::atomic<bool> gone{false};
    const io::RegionView& region = client->region();
    std::vector<std::atomic<uint32_t>> ids(region.kthreads());
    std::vector<std::thread> kthreads;
    for (uint32_t k = 0; k < region.kthreads(); ++k) {
      kthreads.emplace_back([this, &region, &gone, &ids, k] {
        ids[k].store(static_cast<uint32_t>(gettid()));
        RunKthread(io::KthreadIo(region, k), gone);
      });
    }
    std::vector<uint32_t> thread_ids;
    for (auto& id : ids) {
      while (id.load() == 0) std::this_thread::yield();
      thread_ids.push_back(id.load());
    }
    if (client->ReportThreads(thread_ids)) {
      client->Watch([&gone] { gone.store(true); });
      while (!Over() && !gone.load()) {
        ActOnRegion(region);
        Pause();
      }
      client->StopWatching();
    }
    gone.store(true);
    for (std::thread& kthread : kthreads) kthread.join();
  }

  // A kthread that answers grants, more or less: without one that runs, iokerneld would have nothing to read.
  void RunKthread(io::KthreadIo kthread, const std::atomic<bool>& gone) {
    std::mt19937_64 random(options_.seed + static_cast<uint64_t>(gettid()));
    const auto wait = [&gone](const std::atomic<uint32_t>& word, uint32_t value) {
      const timespec timeout{0, 5'000'000};
      syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
      return !gone.load();
    };
    const uint32_t buffers = 4096;
    while (kthread.grant.AwaitGrant(wait)) {
      for (int i = 0; i < 64; ++i) {
        abi::LrpcMessage message;
        if (kthread.rx.Receive(&message)) {
          // Every received buffer goes back twice, and so does one that was never ours.
          const uint64_t buffer = abi::DecodeRx(message).buffer;
          for (const uint64_t given : {buffer, buffer, random() % (2 * buffers), random()}) {
            static_cast<void>(kthread.fill.Send(random() % 8 == 0 ? random() : abi::EncodeFill(0).command, given));
          }
        }
        if (options_.mode == "double") {
          for (size_t byte = 0; byte < 64; ++byte) kthread.NextTxBuffer()[byte] = static_cast<std::byte>(random());
          static_cast<void>(kthread.tx.Send(random(), random()));
        }
      }
      abi::ParkRecord record;
      record.rx_consumed = options_.mode == "liar" ? static_cast<uint32_t>(random()) : kthread.rx.received();
      if (options_.mode == "liar") {
        record.kick_seen = static_cast<uint32_t>(random());
        record.next_timer = random();
        record.flags = static_cast<uint32_t>(random());
        if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // holds on to its core
      }
      kthread.grant.Park(record);
    }
  }

  void ActOnRegion(const io::RegionView& region) {
    ++acts_;
    const size_t bytes = region.layout.bytes();
    if (options_.mode == "punch") {
      // What fallocate(PUNCH_HOLE) does, through the mapping.
      const size_t page = Random() % (bytes / abi::kRegionPage);
      const size_t pages = 1 + Random() % 64;
      const size_t length = std::min(pages * abi::kRegionPage, bytes - page * abi::kRegionPage);
      madvise(region.base + page * abi::kRegionPage, length, MADV_REMOVE);
      if (acts_ % 16 == 0) madvise(region.base, bytes, MADV_REMOVE);
    } else if (options_.mode == "scribble") {
      // Mostly the lines and rings, now and then anywhere.
      const size_t rings = static_cast<size_t>(region.RxBuffer(0) - region.base);
      for (int i = 0; i < 200; ++i) {
        const size_t reach = Random() % 8 == 0 ? bytes : rings;
        const uint64_t value = Random() % 2 == 0 ? Random() : Random() % 4096;
        std::memcpy(region.base + Random() % (reach / 8) * 8, &value, sizeof(value));
      }
    } else if (options_.mode == "liar") {
      for (uint32_t k = 0; k < region.kthreads(); ++k) {
        auto* words = reinterpret_cast<std::atomic<uint32_t>*>(&region.layout.Kthread(region.base, k)->signal);
        words[Random() % (sizeof(abi::SignalLine) / sizeof(uint32_t))].store(static_cast<uint32_t>(Random()));
      }
      region.kick().store(static_cast<uint32_t>(Random()));
    }
  }

  // Connections with messages that are none.
  void SendRubbish() {
    ++acts_;
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof(name.sun_path), "%s/control", options_.run_dir.c_str());
    if (connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0) {
      std::vector<unsigned char> bytes(Random() % abi::kMaxControlMessage);
      for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(Random());
      abi::AttachRequest request = Request();
      request.head = {abi::kMagic, abi::kAbiVersion, static_cast<abi::ControlType>(Random() % 8)};
      if (Random() % 2 == 0 && bytes.size() >= sizeof(request)) std::memcpy(bytes.data(), &request, sizeof(request));
      static_cast<void>(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      if (Random() % 4 == 0) Pause();  // sometimes it waits, sometimes it hangs up at once
    }
    close(fd);
  }

  Options options_;
  uint32_t address_;
  std::mt19937_64 random_;
  Clock::time_point end_;
  uint64_t attached_ = 0;
  uint64_t acts_ = 0;
};

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Options options;
  CLI::App app("hostile - an app that misbehaves, for tests");
  app.add_option("--run-dir", options.run_dir)->required();
  app.add_option("--address", options.address)->required();
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"scribble", "double", "punch", "liar", "control"}));
  app.add_option("--seconds", options.seconds);
  app.add_option("--seed", options.seed);
  CLI11_PARSE(app, argc, argv);
  const auto address = sluice::apps::ParseAddress(options.address);
  if (!address) return 2;
  return sluice::Attacker(options, *address).Run();
}
