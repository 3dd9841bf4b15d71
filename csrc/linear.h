// Channel-mixing linear maps of typed features, straight from and to the rows of nodes.
//
//   out[i][out + m * out_channels + d] (+)= sum_c in[i][in + m * in_channels + c] W[c][d]   for every component m
//
// Rows are given by pointers: any set of nodes will do, such as those of one species. A tile of the result stays in
// registers over the whole sum; a panel of W stays in the first cache over all rows and components.
#pragma once

#include "gemm.h"
#include "program.h"

namespace cynosure::CYNOSURE_ISA {

// C[r][0 ... VECTORS) += sum_k A[r][k] B[k] for ROWS rows; `last` lanes of the last vector count, all when it is 0.
template <class T, int ROWS, int VECTORS, bool ADD>
CYNOSURE_INLINE void rows_tile(long depth, const T* const* a, long a_shift, const T* b, long b_row, T* const* c,
                               long c_shift, int last) {
  constexpr int width = lanes<T>;
  Vec<T> sum[ROWS][VECTORS];
  const T* in[ROWS];
  for (int r = 0; r < ROWS; ++r) {
    in[r] = a[r] + a_shift;
    for (int v = 0; v < VECTORS; ++v) {
      const T* old = c[r] + c_shift + v * width;
      if constexpr (ADD)
        sum[r][v] = last && v == VECTORS - 1 ? load_first<T>(old, last) : load<T>(old);
      else
        sum[r][v] = Vec<T>{};
    }
  }
  if (last) {
    for (long k = 0; k < depth; ++k, b += b_row) {
      Vec<T> row[VECTORS];
      for (int v = 0; v < VECTORS - 1; ++v) row[v] = load<T>(b + v * width);
      row[VECTORS - 1] = load_first<T>(b + (VECTORS - 1) * width, last);
      for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += in[r][k] * row[v];
    }
  } else {
    for (long k = 0; k < depth; ++k, b += b_row) {
      Vec<T> row[VECTORS];
      for (int v = 0; v < VECTORS; ++v) row[v] = load<T>(b + v * width);
      for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += in[r][k] * row[v];
    }
  }
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      T* to = c[r] + c_shift + v * width;
      if (last && v == VECTORS - 1)
        store_first<T>(to, sum[r][v], last);
      else
        store<T>(to, sum[r][v]);
    }
}

template <class T, int VECTORS, bool ADD>
__attribute__((noinline)) void rows_panel(long count, long depth, const T* const* a, long a_shift, const T* b,
                                          long b_row, T* const* c, long c_shift, int last) {
  for (; count >= tile_rows; count -= tile_rows, a += tile_rows, c += tile_rows)
    rows_tile<T, tile_rows, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
  switch (count) {
    case 5: return rows_tile<T, 5, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
    case 4: return rows_tile<T, 4, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
    case 3: return rows_tile<T, 3, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
    case 2: return rows_tile<T, 2, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
    case 1: return rows_tile<T, 1, VECTORS, ADD>(depth, a, a_shift, b, b_row, c, c_shift, last);
    default: return;
  }
}

template <class T, bool ADD>
inline void linear_term(const LinearTerm<T>& term, const T* weight, long count, const T* const* in, T* const* out) {
  constexpr int wide = tile_vectors * lanes<T>;
  for (long column = 0; column < term.out_channels; column += wide) {
    const long left = term.out_channels - column;
    const int vectors = left >= wide ? tile_vectors : int((left + lanes<T> - 1) / lanes<T>);
    const int last = left >= wide ? 0 : int(left % lanes<T>);
    for (int m = 0; m < term.dim; ++m) {
      const long a = term.in + long(m) * term.in_channels, c = term.out + long(m) * term.out_channels + column;
      auto panel = [&]<int VECTORS>() {
        rows_panel<T, VECTORS, ADD>(count, term.in_channels, in, a, weight + column, term.out_channels, out, c, last);
      };
      switch (vectors) {
        case 1: panel.template operator()<1>(); break;
        case 2: panel.template operator()<2>(); break;
        case 3: panel.template operator()<(tile_vectors > 2 ? 3 : 2)>(); break;
        default: panel.template operator()<tile_vectors>(); break;
      }
    }
  }
}

// All terms of a map for `count` rows of one species. Blocks of `out` that no term reaches keep what they hold.
template <class T>
inline void linear(const LinearMap<T>& map, long species, long count, const T* const* in, T* const* out) {
  for (int t = 0; t < map.num_terms; ++t) {
    const LinearTerm<T>& term = map.terms[t];
    const T* weight = term.weight + species * term.species_stride;
    if (term.add)
      linear_term<T, true>(term, weight, count, in, out);
    else
      linear_term<T, false>(term, weight, count, in, out);
  }
}

}  // namespace cynosure::CYNOSURE_ISA
