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

// --- The derivative with respect to W:  C[c][d] += sum over rows and components of in[r][m][c] g[r][m][d] -----------

template <class T, int ROWS, int VECTORS>
CYNOSURE_INLINE void outer_tile(const LinearTerm<T>& term, long count, const T* const* in, const T* const* g, long c,
                                long d, T* result, int last) {
  constexpr int width = lanes<T>;
  Vec<T> sum[ROWS][VECTORS];
  T* to = result + c * term.out_channels + d;
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      const T* old = to + r * term.out_channels + v * width;
      sum[r][v] = last && v == VECTORS - 1 ? load_first<T>(old, last) : load<T>(old);
    }
  for (int m = 0; m < term.dim; ++m) {
    const long from = term.in + long(m) * term.in_channels + c, by = term.out + long(m) * term.out_channels + d;
    for (long i = 0; i < count; ++i) {
      const T *a = in[i] + from, *b = g[i] + by;
      Vec<T> row[VECTORS];
      for (int v = 0; v < VECTORS; ++v)
        row[v] = last && v == VECTORS - 1 ? load_first<T>(b + v * width, last) : load<T>(b + v * width);
      for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += a[r] * row[v];
    }
  }
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      T* place = to + r * term.out_channels + v * width;
      if (last && v == VECTORS - 1)
        store_first<T>(place, sum[r][v], last);
      else
        store<T>(place, sum[r][v]);
    }
}

template <class T, int VECTORS>
__attribute__((noinline)) void outer_panel(const LinearTerm<T>& term, long count, const T* const* in,
                                           const T* const* g, long d, T* result, int last) {
  long c = 0;
  for (; c + tile_rows <= term.in_channels; c += tile_rows)
    outer_tile<T, tile_rows, VECTORS>(term, count, in, g, c, d, result, last);
  for (; c + 2 <= term.in_channels; c += 2) outer_tile<T, 2, VECTORS>(term, count, in, g, c, d, result, last);
  if (c < term.in_channels) outer_tile<T, 1, VECTORS>(term, count, in, g, c, d, result, last);
}

// Adds to of_weight, which lies as the weights do, for `count` rows of one species.
template <class T>
inline void linear_outer(const LinearMap<T>& map, long species, long count, const T* const* in, const T* const* g,
                         const T* weights, T* of_weights) {
  constexpr int wide = tile_vectors * lanes<T>;
  for (int t = 0; t < map.num_terms; ++t) {
    const LinearTerm<T>& term = map.terms[t];
    T* result = of_weights + (term.weight - weights) + species * term.species_stride;
    for (long d = 0; d < term.out_channels; d += wide) {
      const long left = term.out_channels - d;
      const int vectors = left >= wide ? tile_vectors : int((left + lanes<T> - 1) / lanes<T>);
      const int last = left >= wide ? 0 : int(left % lanes<T>);
      switch (vectors) {
        case 1: outer_panel<T, 1>(term, count, in, g, d, result, last); break;
        case 2: outer_panel<T, 2>(term, count, in, g, d, result, last); break;
        case 3: outer_panel<T, (tile_vectors > 2 ? 3 : 2)>(term, count, in, g, d, result, last); break;
        default: outer_panel<T, tile_vectors>(term, count, in, g, d, result, last); break;
      }
    }
  }
}

}  // namespace cynosure::CYNOSURE_ISA
