// run_test.cc - an app from attach to end, against a daemon that refuses it, goes away, or serves it well.
#include "sluice/run.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "runtime/net/stack.h"
#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

TEST(Run, SaysWhereItIsAndReturnsMainsValue) {
  FakeDaemon daemon;
  EXPECT_EQ(LocalAddress(), 0u);
  CaptureStderr();
  EXPECT_EQ(daemon.Run([] {
    EXPECT_EQ(LocalAddress(), kAppAddress);
    return 17;
  }),
            17);
  EXPECT_EQ(GetCapturedStderr(), "sluice: test is 10.0.0.2 on iokerneld pid " + std::to_string(getpid()) + "\n");
  EXPECT_EQ(LocalAddress(), 0u);
  EXPECT_FALSE(UdpSocket::Bind({}));
}

// A child that goes on in a uthread would talk to the IOKernel in its parent's name.
TEST(Run, AForkedChildDoesNotHaveTheRegion) {
  FakeDaemon daemon;
  RunApp(daemon, [] {
    std::byte* const region = net::TheStack().region.base;
    const pid_t child = fork();
    if (child == 0) {
      unsigned char resident;
      _exit(mincore(region, 1, &resident) != 0 && errno == ENOMEM ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  });
}

TEST(Run, ARefusalIsPrintedAndMainDoesNotRun) {
  const FakeControl control([](int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    auto answer = GoodAnswer(0);
    answer.code = abi::AnswerCode::kAddressTaken;
    std::strcpy(answer.sentence, "10.0.0.2 is held by pid 4711 (memcached)");
    FakeControl::Send(socket, &answer, sizeof(answer));
  });
  RunConfig config;
  config.run_dir = control.run_dir();
  CaptureStderr();
  EXPECT_EQ(sluice::Run(config, [] { return 0; }), kExitRefused);
  EXPECT_EQ(GetCapturedStderr(), "sluice: 10.0.0.2 is held by pid 4711 (memcached)\n");
}

TEST(Run, RefusedThreadsEndItToo) {
  FakeRegion region;
  const int fd = region.Finish();
  const FakeControl control([&](int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    const auto answer = GoodAnswer(region.bytes);
    FakeControl::Send(socket, &answer, sizeof(answer), fd);
    char ready[64];
    EXPECT_GT(recv(socket, ready, sizeof(ready), 0), 0);
    auto refusal = OkAnswer();
    refusal.code = abi::AnswerCode::kForeignThread;
    std::strcpy(refusal.sentence, "these are not your threads");
    FakeControl::Send(socket, &refusal, sizeof(refusal));
    FakeControl::AwaitHangUp(socket);
  });
  RunConfig config;
  config.run_dir = control.run_dir();
  CaptureStderr();
  EXPECT_EQ(sluice::Run(config, [] { return 0; }), kExitRefused);
  EXPECT_EQ(GetCapturedStderr(), "sluice: these are not your threads\n");
}

TEST(Run, WhenTheIoKernelGoesEverybodyHearsAndMainGoesOn) {
  FakeDaemon daemon;
  CaptureStderr();
  RunApp(daemon, [&] {
    auto queue = UdpSocket::Bind({0, 7});
    auto served = UdpSocket::Bind({0, 8});
    ASSERT_TRUE(queue && served);
    std::array<Error, 3> heard{};
    Thread receiver([&] { heard[0] = queue->Recv().error(); });
    Thread timed([&] { heard[1] = queue->Recv(std::chrono::hours(1)).error(); });
    Thread server([&] { heard[2] = served->Serve([](const Datagram&) {}); });
    Sleep(std::chrono::milliseconds(1));
    daemon.Die();
    receiver.Join();
    timed.Join();
    server.Join();
    for (const Error error : heard) EXPECT_EQ(error, Error::kIoKernelGone);
    EXPECT_EQ(queue->Recv().error(), Error::kIoKernelGone);
    EXPECT_EQ(queue->SendTo(Payload(1), kPeer).error(), Error::kIoKernelGone);
    EXPECT_EQ(UdpSocket::Bind({}).error(), Error::kIoKernelGone);
    queue->Shutdown();
    EXPECT_EQ(queue->Recv().error(), Error::kClosed);
    // Uthreads still run, sleep and wake each other.
    Semaphore semaphore;
    Thread other([&] {
      Sleep(std::chrono::milliseconds(1));
      semaphore.Post();
    });
    semaphore.Acquire();
  });
  const std::string said = GetCapturedStderr();
  EXPECT_NE(said.find("sluice: iokerneld (pid " + std::to_string(getpid()) + ") is gone"), std::string::npos) << said;
}

TEST(Run, WhatWasQueuedBeforeTheEndIsStillThere) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(6))));
    ASSERT_TRUE(Eventually([&] { return socket->stats().received == 1; }));
    auto other = UdpSocket::Bind({0, 8});
    Thread waiter([&] { EXPECT_EQ(other->Recv().error(), Error::kIoKernelGone); });
    daemon.Die();
    waiter.Join();
    const auto datagram = socket->Recv();
    ASSERT_TRUE(datagram);
    EXPECT_EQ(Copy(datagram->payload()), Payload(6));
    EXPECT_EQ(socket->Recv().error(), Error::kIoKernelGone);
  });
}

TEST(Run, CanRunAgainWithSocketsOfBeforeStillHeld) {
  UdpSocket old;
  Datagram kept;
  for (int attach = 0; attach < 3; ++attach) {
    FakeDaemon daemon;
    RunApp(daemon, [&] {
      auto socket = UdpSocket::Bind({});
      ASSERT_TRUE(socket);
      old = std::move(*socket);  // closes the one of the last attachment
      ASSERT_TRUE(daemon.Inject(UdpPacket(old.local().port, Payload(3))));
      ASSERT_TRUE(daemon.Inject(UdpPacket(old.local().port, Payload(3))));
      auto datagram = old.Recv();
      ASSERT_TRUE(datagram);
      kept = std::move(*datagram);
    });
  }
  kept.Release();  // of an attachment that has ended: of no effect
  old.Close();
}

// 100 000 numbered datagrams of four flows over four rings, with thieves about, while cores come and go: none lost,
// none out of order.
TEST(Run, AHundredThousandDatagramsComeInOrder) {
  constexpr uint32_t kDatagrams = 100'000;
  constexpr uint16_t kFlows = 4;
  FakeDaemon daemon({.kthreads = 4, .cede_randomly = true, .cede_by_signal = true});
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7}, {.queue_limit = daemon.options().rx_buffers});
    ASSERT_TRUE(socket);
    Thread sender([&] {
      Packet payload(8);
      for (uint32_t n = 0; n < kDatagrams;) {
        StoreNumber(&payload, n / kFlows);
        const uint16_t flow = n % kFlows;
        const bool taken = daemon.Inject(UdpPacket(7, payload, {kPeerAddress, static_cast<uint16_t>(4000 + flow)}),
                                         flow % daemon.options().kthreads);
        if (taken) {
          ++n;
        } else {
          Yield();
        }
      }
    });
    std::array<uint32_t, kFlows> next{};
    uint32_t out_of_order = 0;
    for (uint32_t n = 0; n < kDatagrams; ++n) {
      const auto datagram = socket->Recv(std::chrono::seconds(30));
      ASSERT_TRUE(datagram) << "after " << n << ": " << ToString(datagram.error());
      uint32_t& expected = next[datagram->source().port - 4000];
      out_of_order += abi::LoadBe32(datagram->payload().data()) == expected ? 0 : 1;
      ++expected;
    }
    EXPECT_EQ(out_of_order, 0u);
    EXPECT_EQ(socket->stats().queue_full, 0u);
  });
}

}  // namespace
}  // namespace sluice
