// The derivative of a convolution with respect to Y, lanes being channels until the last step.
#pragma once

#include "product.h"

namespace cynosure::CYNOSURE_ISA {

// So many rows of an outer product fit the registers beside its factors.
template <class SHAPE>
constexpr int outer_rows() {
  constexpr int most = registers == 32 ? 25 : 10;
  if constexpr (SHAPE::IN == 0 || SHAPE::OUT == 0) return 0;
  constexpr int rows = most / (SHAPE::IN ? SHAPE::IN : 1);
  return rows < 1 ? 1 : rows < SHAPE::OUT ? rows : SHAPE::OUT;
}

// sum[k][m] += w g[k] x[m] for one vector of channels and the elements that M has, for ROWS rows from `first` on.
template <class T, class SHAPE, int FIRST, int ROWS, bool TAIL>
CYNOSURE_INLINE void add_outer(const PathChunk<T>& p, const T* x, const T* w, long c, Vec<T> (*sum)[SHAPE::n1],
                               int tail) {
  constexpr int N1 = SHAPE::IN;
  const int d1 = N1 ? N1 : p.dim_in, rows = ROWS ? ROWS : p.dim_out;
  const Vec<T> weight = kept(get<T, TAIL>(w + c, tail));
  Vec<T> in[SHAPE::n1];
  each<N1>(d1, [&](auto i) CYNOSURE_INLINED { in[i] = kept(get<T, TAIL>(x + i * p.channels + c, tail)); });
  each<ROWS>(rows, [&](auto k) CYNOSURE_INLINED {
    const Vec<T> weighted = weight * get<T, TAIL>(p.g + (FIRST + k) * p.channels + c, tail);
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
      if (SHAPE::has(FIRST + k, i)) sum[k][i] += weighted * in[i];
    });
  });
}

// The sum over channels of w g[k] x[m], lane by lane, for one edge.
template <class T, class SHAPE>
CYNOSURE_INLINE void outer_sums(const PathChunk<T>& p, int e, Vec<T> (*sum)[SHAPE::n1]) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT, some = outer_rows<SHAPE>(), width = lanes<T>;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : p.dim_out;
  const T* x = p.x[e] + p.x_shift;
  const T* w = p.weight + e * p.weight_row;
  const long full = p.channels / width * width;
  const int tail = int(p.channels - full);
  each<some ? (N3 + some - 1) / (some ? some : 1) : 1>(0, [&](auto block) CYNOSURE_INLINED {
    constexpr int first = decltype(block)::value * some;
    constexpr int rows = some && N3 - first < some ? N3 - first : some;
    Vec<T> part[rows ? rows : SHAPE::n3][SHAPE::n1];
    const auto over = [&](auto&& f) CYNOSURE_INLINED {
      each<rows>(d3, [&](auto k) CYNOSURE_INLINED { each<N1>(d1, [&](auto i) CYNOSURE_INLINED { f(k, i); }); });
    };
    over([&](auto k, auto i) CYNOSURE_INLINED { part[k][i] = Vec<T>{}; });
    for (long c = 0; c < full; c += width) add_outer<T, SHAPE, first, rows, false>(p, x, w, c, part, 0);
    if (tail) add_outer<T, SHAPE, first, rows, true>(p, x, w, full, part, tail);
    over([&](auto k, auto i) CYNOSURE_INLINED { sum[first + k][i] = part[k][i]; });
  });
}

// The sum over channels and components of w g[k] x[k], lane by lane, for one edge.
template <class T, class SHAPE>
CYNOSURE_INLINE Vec<T> inner_sum(const PathChunk<T>& p, int e) {
  constexpr int width = lanes<T>;
  const int d3 = SHAPE::OUT ? SHAPE::OUT : p.dim_out;
  const T* x = p.x[e] + p.x_shift;
  const T* w = p.weight + e * p.weight_row;
  Vec<T> sum{};
  const auto add = [&]<bool TAIL>(long c, int tail) CYNOSURE_INLINED {
    Vec<T> product{};
    each<SHAPE::OUT>(d3, [&](auto k) CYNOSURE_INLINED {
      product += get<T, TAIL>(p.g + k * p.channels + c, tail) * get<T, TAIL>(x + k * p.channels + c, tail);
    });
    sum += get<T, TAIL>(w + c, tail) * product;
  };
  long c = 0;
  for (; c + width <= p.channels; c += width) add.template operator()<false>(c, 0);
  if (c < p.channels) add.template operator()<true>(c, int(p.channels - c));
  return sum;
}

// of_harmonics[edge][n], lane by lane, += sum over k, m, channels of C[m, n, k] w g[k] x[m]
//
// The outer product w g (x) x is summed over channels first and contracted after: C does not know the channel.
template <class T, class SHAPE>
__attribute__((noinline)) void product_harmonics(const PathChunk<T>& p, const Terms<T>& terms, const Path& path,
                                                 T* of_harmonics, long row) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT, width = lanes<T>;
  const int d1 = N1 ? N1 : p.dim_in;
  const int32_t* number = terms.number + path.term;
  const T* values = terms.number_value + number[0];
  T* to = of_harmonics;
  for (int e = 0; e < p.count; ++e, to += row) {
    if constexpr (SHAPE::DIAGONAL) {
      store<T>(to, load<T>(to) + values[0] * inner_sum<T, SHAPE>(p, e));
    } else {
      Vec<T> sum[SHAPE::n3][SHAPE::n1];
      outer_sums<T, SHAPE>(p, e, sum);
      if constexpr (SHAPE::EDGE > 0) {
        each<SHAPE::EDGE>(0, [&](auto n) CYNOSURE_INLINED {
          Vec<T> total = load<T>(to + n * width);
          each<N3>(0, [&](auto k) CYNOSURE_INLINED {
            each<N1>(0, [&](auto i) CYNOSURE_INLINED {
              constexpr int t = SHAPE::template term<decltype(n)::value, decltype(k)::value, decltype(i)::value>;
              if constexpr (t >= 0) total += values[t] * sum[k][i];
            });
          });
          store<T>(to + n * width, total);
        });
      } else {
        for (int n = 0, t = 0; n < path.dim_edge; ++n) {
          Vec<T> total = load<T>(to + n * width);
          for (const int end = number[n + 1] - number[0]; t < end; ++t) {
            const int element = terms.element[number[0] + t];
            total += values[t] * sum[element / d1][element % d1];
          }
          store<T>(to + n * width, total);
        }
      }
    }
  }
}

}  // namespace cynosure::CYNOSURE_ISA
