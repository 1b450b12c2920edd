#include "apps/netperf/server.h"

#include <algorithm>
#include <cstdio>

namespace sluice::apps {

size_t NetperfService::Handle(std::span<const std::byte> request, std::span<std::byte> reply) {
  auto header = ReadHeader(request);
  if (!header) return 0;
  switch (header->kind) {
    case Kind::kRequest:
      header->kind = Kind::kReply;
      std::copy(request.begin() + sizeof(Header), request.end(), reply.begin() + sizeof(Header));
      WriteHeader(*header, reply);
      return request.size();
    case Kind::kStream:
      if (uint32_t known = run_.load(std::memory_order_relaxed);
          known != header->run && run_.compare_exchange_strong(known, header->run, std::memory_order_relaxed)) {
        packets_.store(0, std::memory_order_relaxed);
        bytes_.store(0, std::memory_order_relaxed);
      }
      packets_.fetch_add(1, std::memory_order_relaxed);
      bytes_.fetch_add(request.size(), std::memory_order_relaxed);
      return 0;
    case Kind::kQuery:
      header->kind = Kind::kCount;
      header->run = run_.load(std::memory_order_relaxed);
      header->packets = packets_.load(std::memory_order_relaxed);
      header->bytes = bytes_.load(std::memory_order_relaxed);
      WriteHeader(*header, reply);
      return sizeof(Header);
    case Kind::kReply:
    case Kind::kCount:
      return 0;  // never answered, or two servers could play ping-pong
  }
  return 0;
}

tl::expected<void, std::string> RunNetperfServer(Transport& transport, uint16_t port, size_t workers) {
  NetperfService service;
  std::printf("netperf: serving UDP port %u\n", unsigned{port});
  std::fflush(stdout);
  return transport.Serve(port, workers,
                         [&](const Received&, std::span<const std::byte> request, std::span<std::byte> reply) {
                           return service.Handle(request, reply);
                         });
}

}  // namespace sluice::apps
