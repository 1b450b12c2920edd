#include "apps/simulator/engine/random.h"

#include <cmath>
#include <initializer_list>

namespace sluice::sim {
namespace {

constexpr double kLn2High = 0x1.62e42fee00000p-1;  // a multiple of it by an exponent is exact
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kLog2E = 0x1.71547652b82fep+0;
constexpr int kMantissaBits = 52;
constexpr uint64_t kMantissa = (uint64_t{1} << kMantissaBits) - 1;

}  // namespace

// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172.
double Log(double x) {
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const int64_t exponent = static_cast<int64_t>(bits - kSqrtHalf) >> kMantissaBits;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << kMantissaBits));
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 21;
  for (const double term : {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3}) {
    series = series * z + term;
  }
  const auto e = static_cast<double>(exponent);
  return e * kLn2High + (2.0 * s + (2.0 * s * z * series + e * kLn2Low));
}

// x = k ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series.
double Exp(double x) {
  const double k = std::floor(x * kLog2E + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1.0;
  for (int n = 14; n >= 1; --n) sum = 1.0 + sum * r / n;
  const auto exponent = static_cast<uint64_t>(static_cast<int64_t>(k) + 1023);
  return sum * std::bit_cast<double>((exponent << kMantissaBits) & ~kMantissa);
}

// The polar method: a square root, which IEEE 754 fixes, in the place of a sine.
double Random::Normal() {
  for (;;) {
    const double x = 2.0 * Unit() - 1.0;
    const double y = 2.0 * Unit() - 1.0;
    const double square = x * x + y * y;
    if (square >= 1.0 || square == 0.0) continue;
    return x * std::sqrt(-2.0 * Log(square) / square);
  }
}

}  // namespace sluice::sim
