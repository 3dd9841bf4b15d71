// The derivative of a convolution with respect to Y, lanes being channels until the last step.
#pragma once

#include "product.h"

namespace cynosure::CYNOSURE_ISA {

// sum[k][m] += w g[k] x[m] for one vector of channels, for the elements that M has.
template <class T, class SHAPE, bool TAIL>
CYNOSURE_INLINE void add_outer(const PathChunk<T>& p, const T* x, const T* w, long c, Vec<T> (*sum)[SHAPE::n1],
                               int tail) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : p.dim_out;
  const Vec<T> weight = kept(get<T, TAIL>(w + c, tail));
  if constexpr (SHAPE::DIAGONAL) {
    Vec<T> product{};
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      product += get<T, TAIL>(p.g + k * p.channels + c, tail) * get<T, TAIL>(x + k * p.channels + c, tail);
    });
    sum[0][0] += weight * product;
  } else {
    Vec<T> in[SHAPE::n1];
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED { in[i] = kept(get<T, TAIL>(x + i * p.channels + c, tail)); });
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      const Vec<T> weighted = weight * get<T, TAIL>(p.g + k * p.channels + c, tail);
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
        if (SHAPE::has(k, i)) sum[k][i] += weighted * in[i];
      });
    });
  }
}

// of_harmonics[edge][n], lane by lane, += sum over k, m, channels of C[m, n, k] w g[k] x[m]
//
// The outer product w g (x) x is summed over channels first and contracted after: C does not know the channel.
template <class T, class SHAPE>
__attribute__((noinline)) void product_harmonics(const PathChunk<T>& p, const Terms<T>& terms, const Path& path,
                                                 T* of_harmonics, long row) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT, width = lanes<T>;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : p.dim_out;
  const int32_t* number = terms.number + path.term;
  const T* values = terms.number_value + number[0];
  const long full = p.channels / width * width;
  const int tail = int(p.channels - full);
  for (int e = 0; e < p.count; ++e) {
    const T* x = p.x[e] + p.x_shift;
    const T* w = p.weight + e * p.weight_row;
    Vec<T> sum[SHAPE::n3][SHAPE::n1];
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED { sum[k][i] = Vec<T>{}; });
    });
    for (long c = 0; c < full; c += width) add_outer<T, SHAPE, false>(p, x, w, c, sum, 0);
    if (tail) add_outer<T, SHAPE, true>(p, x, w, full, sum, tail);
    T* to = of_harmonics + e * row;
    if constexpr (SHAPE::DIAGONAL) {
      store<T>(to, load<T>(to) + values[0] * sum[0][0]);
    } else if constexpr (SHAPE::EDGE > 0) {
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
      for (int n = 0, t = 0; n < path.dim_edge; ++n, to += width) {
        Vec<T> total = load<T>(to);
        for (const int end = number[n + 1] - number[0]; t < end; ++t) {
          const int element = terms.element[number[0] + t];
          total += values[t] * sum[element / d1][element % d1];
        }
        store<T>(to, total);
      }
    }
  }
}

}  // namespace cynosure::CYNOSURE_ISA
