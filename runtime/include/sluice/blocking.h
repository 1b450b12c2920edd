// blocking.h - for what blocks in the kernel: files, DNS, other libraries' locks.
//
//   const ssize_t bytes = sluice::Blocking([&] { return read(fd, buffer, size); });
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

namespace sluice {

namespace detail {
// Runs `fn(arg)` on a plain pthread; blocks the calling uthread until it has returned.
void RunBlocking(void (*fn)(void*), void* arg);
}  // namespace detail

// At most so many calls run at a time; further ones wait.
inline constexpr unsigned kMaxBlockingThreads = 64;

// Runs `fn` on a plain pthread, away from the kthreads' CPUs where there are others, and returns its result. The
// caller's errno is not touched: return it. An exception that leaves `fn` ends the program. On a plain pthread `fn`
// is simply called.
template <class F>
auto Blocking(F&& fn) -> std::invoke_result_t<F&> {
  using Result = std::invoke_result_t<F&>;
  static_assert(!std::is_reference_v<Result>, "return a pointer or a value");
  if constexpr (std::is_void_v<Result>) {
    detail::RunBlocking([](void* f) noexcept { (*static_cast<std::remove_reference_t<F>*>(f))(); }, &fn);
  } else {
    struct Call {
      std::remove_reference_t<F>& fn;
      std::optional<Result> result;
    } call{fn, std::nullopt};
    detail::RunBlocking([](void* c) noexcept { static_cast<Call*>(c)->result.emplace(static_cast<Call*>(c)->fn()); },
                        &call);
    return std::move(*call.result);
  }
}

}  // namespace sluice
