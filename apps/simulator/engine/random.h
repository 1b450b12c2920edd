// random.h - random numbers that are the same bytes on every machine, compiler and build preset.
//
// The standard's engines are fixed, its distributions are not, and libm's log and exp differ in the last bit. So all
// of it is here, in arithmetic that IEEE 754 fixes (compiled with -ffp-contract=off).
//
// Source: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#pragma once

#include <bit>
#include <cstdint>

namespace sluice::sim {

// Mixes all bits of x.
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Natural logarithm of a positive, normal number; error below 2 units in the last place.
double Log(double x);
// e^x for |x| < 700.
double Exp(double x);

class Random {
 public:
  // Independent sequences for independent purposes: changing how many numbers one takes leaves the others alone.
  Random(uint64_t seed, uint64_t stream) : state_(Mix(seed + Mix(stream * kStep + 1))) {}

  uint64_t Next() { return Mix(state_ += kStep); }
  // 0 .. n-1, n > 0; the bias is n / 2^64.
  uint64_t Below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64); }
  // (0, 1], in steps of 2^-53: its logarithm is finite.
  double Unit() { return static_cast<double>((Next() >> 11) + 1) * 0x1p-53; }
  // With mean 1.
  double Exponential() { return -Log(Unit()); }
  // With mean 0 and variance 1.
  double Normal();

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  uint64_t state_;
};

}  // namespace sluice::sim
