// server_fixture.h - a control thread between a fake dataplane and real clients, over a real socket.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "iokernel/control/instance.h"
#include "iokernel/control/log.h"
#include "iokernel/control/server.h"
#include "tests/unit/control/client.h"
#include "tests/unit/control/fakes.h"
#include "tests/unit/control/machine.h"
#include "tests/unit/control/temp_dir.h"

namespace sluice {

inline const std::string kMe = "pid " + std::to_string(getpid()) + " (control_test)";

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    SetLogQuiet(true);
    const Checked checked = CheckToml(R"(
[iokernel]
cores = ["1-3"]
[net]
address = "10.0.0.1/29"
[[app]]
name = "fixed"
address = "10.0.0.5"
guaranteed = 1
)");
    EXPECT_THAT(checked.errors, testing::IsEmpty());
    options.config = checked.config;
  }
  ~ServerTest() override { Stop(); }

  void Start() {
    auto acquired = Instance::Acquire(dir.path() + "/run", PortConfig{PortKind::kNull, "null", ""});
    ASSERT_TRUE(acquired.has_value());
    instance.emplace(std::move(*acquired));
    server.emplace(options, instance->control_fd(), stop.get(), dataplane, backend);
    thread = std::thread([this] { server->Run(); });
  }
  void Stop() {
    if (!thread.joinable()) return;
    const uint64_t one = 1;
    ASSERT_EQ(write(stop.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread.join();
    server.reset();
    instance.reset();
  }
  Client Connected() {
    Client client(dir.path() + "/run");
    EXPECT_TRUE(client.Connect());
    return client;
  }
  nlohmann::json Ask(const std::string& what) {
    Client client = Connected();
    abi::Query query{};
    query.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kQuery};
    what.copy(query.what, sizeof query.what - 1);
    client.Send(query);
    return nlohmann::json::parse(client.ReceiveText(), nullptr, false);
  }

  TempDir dir;
  ServerOptions options;
  FakeDataplane dataplane;
  FakeBackend backend;
  FileDescriptor stop{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::optional<Instance> instance;
  std::optional<Server> server;
  std::thread thread;
};

}  // namespace sluice
