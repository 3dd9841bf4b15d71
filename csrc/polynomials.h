// Radial functions of an edge as Chebyshev polynomials of its place within an interval of distances.
#pragma once

#include "plan.h"
#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// The most polynomials of an interval (src/cynosure/kernels/program.py), a whole number of vectors.
constexpr int max_terms = 32;

// The interval of a distance, and the place from -1 to 1 within it.
template <class T>
struct Place {
  int32_t interval;
  T t;

  CYNOSURE_INLINE Place(const Intervals<T>& table, T distance) {
    const T scaled = distance * table.inverse_step;
    interval = int32_t(scaled);
    interval = interval < table.count ? interval : table.count - 1;
    t = 2 * (scaled - T(interval)) - 1;
  }
};

// values[b] = T_b(t) for b < terms, terms > 1:  T_b+1 = 2 t T_b - T_b-1
template <class T>
CYNOSURE_INLINE void chebyshev(T t, long terms, T* values) {
  values[0] = T(1);
  values[1] = t;
  for (long b = 2; b < terms; ++b) values[b] = 2 * t * values[b - 1] - values[b - 2];
}

// sum_b g[b] dT_b/dt(t):  dT_b/dt = b U_b-1,  U_b+1 = 2 t U_b - U_b-1
template <class T>
CYNOSURE_INLINE T chebyshev_slope(T t, long terms, const T* g) {
  T total = 0, before = 0, now = 1;
  for (long b = 1; b < terms; ++b) {
    total += g[b] * T(b) * now;
    const T next = 2 * t * now - before;
    before = now;
    now = next;
  }
  return total;
}

}  // namespace cynosure::CYNOSURE_ISA
