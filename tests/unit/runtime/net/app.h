// app.h - runs a test's body as the first uthread of an app of a FakeDaemon.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "sluice/sluice.h"
#include "tests/unit/runtime/net/fake_daemon.h"

namespace sluice {

// The body may use ASSERT_*. Afterwards the app is gone; another may follow in the same process.
inline void RunApp(FakeDaemon& daemon, const std::function<void()>& body) {
  const int code = daemon.Run([&] {
    body();
    return 42;
  });
  EXPECT_EQ(code, 42);
}

// Waits, for a bounded time, until something is so that a fake daemon or another uthread will make so.
template <class Condition>
[[nodiscard]] bool Eventually(Condition condition) {
  for (int i = 0; i < 100'000; ++i) {
    if (condition()) return true;
    Sleep(std::chrono::microseconds(100));
  }
  return false;
}

inline std::optional<Packet> AwaitSent(FakeDaemon& daemon) {
  std::optional<Packet> packet;
  (void)Eventually([&] { return (packet = daemon.Take()).has_value(); });
  return packet;
}

inline Packet Copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace sluice
