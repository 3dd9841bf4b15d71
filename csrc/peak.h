// The rate of multiply-adds that the processor can reach, as the measure of the kernels' rates.
#pragma once

#include <chrono>

#include "gemm.h"

namespace cynosure::CYNOSURE_ISA {

template <class T>
double fma_peak(double seconds) {
  constexpr int sums = registers / 2, rounds = 4096;
  Vec<T> sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = Vec<T>{} + T(i);
  Vec<T> factor = Vec<T>{} + T(0.999), term = Vec<T>{} + T(1e-3);
  const auto start = std::chrono::steady_clock::now();
  double elapsed = 0, best = 0, last = 0;
  while (elapsed < seconds) {
    for (int r = 0; r < rounds; ++r) {
      // The compiler may not compute these ahead, nor drop them.
      asm volatile("" : "+m"(factor), "+m"(term));
      const Vec<T> f = factor, t = term;
      for (int repeat = 0; repeat < 16; ++repeat)
        for (int i = 0; i < sums; ++i) sum[i] = sum[i] * f + t;
    }
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = 2.0 * lanes<T> * sums * 16 * rounds / (elapsed - last) * 1e-9;
    best = rate > best ? rate : best;
    last = elapsed;
  }
  asm volatile("" : : "m"(sum));
  return best;
}

}  // namespace cynosure::CYNOSURE_ISA
