// What is known about a path when it is compiled: its sizes and which of its Clebsch-Gordan numbers can be nonzero.
#pragma once

#include <cstdint>

#include "plan.h"
#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// The largest 2l + 1 that the loops with sizes known at run time hold.
constexpr int max_dim = 21;

// The selection rule of the real basis, m = -l ... l with sines at m < 0: C[m1, m2, m3] is zero unless the |m| add up
// or subtract to one another and the number of sines has the parity of l1 + l2 + l3. (A few numbers that it lets
// through are zero by accident.) src/cynosure/kernels/plan.py lists numbers by the same rule.
constexpr bool couples(int l1, int m1, int l2, int m2, int l3, int m3) {
  const int a = m1 < 0 ? -m1 : m1, b = m2 < 0 ? -m2 : m2, c = m3 < 0 ? -m3 : m3;
  const int sines = (m1 < 0) + (m2 < 0) + (m3 < 0);
  return (a + b == c || a - b == c || b - a == c) && (sines + l1 + l2 + l3) % 2 == 0;
}

// For the degrees of 2l + 1 = IN, EDGE, OUT: `term[n][k][m]` is the position of C[m, n, k] in the path's list of
// numbers (by n, then k, then m), -1 where the rule makes it zero; `cell[k][m]` tells whether M[k][m] has any term.
template <int IN, int EDGE, int OUT>
struct Coupling {
  int16_t term[EDGE][OUT][IN];
  bool cell[OUT][IN];
  constexpr Coupling() : term(), cell() {
    int16_t count = 0;
    for (int n = 0; n < EDGE; ++n)
      for (int k = 0; k < OUT; ++k)
        for (int m = 0; m < IN; ++m) {
          const bool nonzero = couples(IN / 2, m - IN / 2, EDGE / 2, n - EDGE / 2, OUT / 2, k - OUT / 2);
          term[n][k][m] = nonzero ? count++ : int16_t(-1);
          cell[k][m] = cell[k][m] || nonzero;
        }
  }
};

// The sizes of a path as template arguments: IN and OUT are 0 where known at run time only, EDGE is 0 where nothing is
// known about zeros. DIAGONAL: M is M[0] times the unit matrix (l_edge = 0).
template <int IN_, int EDGE_, int OUT_, bool DIAGONAL_ = false>
struct Shape {
  static constexpr int IN = IN_, EDGE = EDGE_, OUT = OUT_;
  static constexpr bool DIAGONAL = DIAGONAL_;
  static constexpr Coupling<IN ? IN : 1, EDGE ? EDGE : 1, OUT ? OUT : 1> coupling{};
  // Sizes of arrays.
  static constexpr int n1 = IN ? IN : max_dim, n3 = OUT ? OUT : max_dim;

  CYNOSURE_INLINE static constexpr bool has(int k, int m) {
    if constexpr (EDGE > 0 && !DIAGONAL)
      return coupling.cell[k][m];
    else
      return true;
  }
  template <int N, int K, int M>
  static constexpr int term = coupling.term[N][K][M];
};

// Triangles with degrees of Y up to this have functions that leave their zeros out; beyond, only sizes are constants.
constexpr int max_known_edge = 5;

template <int IN, int OUT, class F>
CYNOSURE_INLINE void with_edge(int dim_edge, F&& f) {
  constexpr int least = (IN > OUT ? IN - OUT : OUT - IN) + 1, most = IN + OUT - 1;
  if constexpr (IN <= 5 && OUT <= 5) {
    if constexpr (least <= 3 && 3 <= most)
      if (dim_edge == 3) return f.template operator()<Shape<IN, 3, OUT>>();
    if constexpr (least <= 5 && 5 <= most)
      if (dim_edge == 5) return f.template operator()<Shape<IN, 5, OUT>>();
  }
  if constexpr (most > max_known_edge || IN > 5 || OUT > 5) f.template operator()<Shape<IN, 0, OUT>>();
}

// Calls f.operator()<Shape>() for the shape of a path whose dim_in is IN (0: known at run time only).
template <int IN, class F>
CYNOSURE_INLINE void with_shape(const Path& path, F&& f) {
  if (path.diagonal) return f.template operator()<Shape<IN, IN ? 1 : 0, IN, true>>();
  if constexpr (IN > 0) {
    switch (path.dim_out) {
      case 1: return with_edge<IN, 1>(path.dim_edge, f);
      case 3: return with_edge<IN, 3>(path.dim_edge, f);
      case 5: return with_edge<IN, 5>(path.dim_edge, f);
      case 7: return with_edge<IN, 7>(path.dim_edge, f);
      default: break;
    }
  }
  f.template operator()<Shape<IN, 0, 0>>();
}

// x86 processors without AVX2 are so old that loops of their own are not worth the minute that they take to compile.
#if defined(__AVX__) || defined(__aarch64__)
constexpr bool has_sizes = true;
#else
constexpr bool has_sizes = false;
#endif

// Calls f.operator()<IN>() with dim_in where it is common and 0 where it is not.
template <class F>
CYNOSURE_INLINE void with_dim(int dim, F&& f) {
  if constexpr (has_sizes) {
    switch (dim) {
      case 1: return f.template operator()<1>();
      case 3: return f.template operator()<3>();
      case 5: return f.template operator()<5>();
      case 7: return f.template operator()<7>();
      default: break;
    }
  }
  f.template operator()<0>();
}

template <class F>
CYNOSURE_INLINE void with_shape_of(const Group& group, const Path& path, F&& f) {
  with_dim(group.dim_in, [&]<int IN>() { with_shape<IN>(path, f); });
}

}  // namespace cynosure::CYNOSURE_ISA
