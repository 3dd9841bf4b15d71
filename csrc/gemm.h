// C (+)= A B for the small and middle sizes of node-wise maps and radial mixing, straight from the operands.
//
// B and C are row-major with contiguous rows; an element A[m][k] is at a + m * a_row + k * a_col, so that A may
// be a transpose in place. A tile of C stays in registers over the whole sum.
#pragma once

#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

constexpr int tile_rows = 6;
constexpr int tile_vectors = registers == 32 ? 4 : 2;

template <class T>
struct GemmOperands {
  long depth;
  const T* a;
  long a_row, a_col;
  const T* b;
  long b_row;
  T* c;
  long c_row;
  bool add;
};

// ROWS x (VECTORS vectors) of C; `last` lanes of the last vector are in use, all of them when it is 0.
template <class T, int ROWS, int VECTORS>
CYNOSURE_INLINE void gemm_tile(const GemmOperands<T>& o, int last) {
  Vec<T> sum[ROWS][VECTORS];
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      const T* c = o.c + r * o.c_row + v * lanes<T>;
      if (!o.add)
        sum[r][v] = Vec<T>{};
      else
        sum[r][v] = last && v == VECTORS - 1 ? load_first<T>(c, last) : load<T>(c);
    }
  const T* a = o.a;
  const T* b = o.b;
  if (last) {
    for (long k = 0; k < o.depth; ++k, a += o.a_col, b += o.b_row) {
      Vec<T> row[VECTORS];
      for (int v = 0; v < VECTORS - 1; ++v) row[v] = load<T>(b + v * lanes<T>);
      row[VECTORS - 1] = load_first<T>(b + (VECTORS - 1) * lanes<T>, last);
      for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += a[r * o.a_row] * row[v];
    }
  } else {
    for (long k = 0; k < o.depth; ++k, a += o.a_col, b += o.b_row) {
      Vec<T> row[VECTORS];
      for (int v = 0; v < VECTORS; ++v) row[v] = load<T>(b + v * lanes<T>);
      for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += a[r * o.a_row] * row[v];
    }
  }
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      T* c = o.c + r * o.c_row + v * lanes<T>;
      if (last && v == VECTORS - 1)
        store_first<T>(c, sum[r][v], last);
      else
        store<T>(c, sum[r][v]);
    }
}

// Rows are shared out evenly: two tiles of four rather than one of six and one of two, which has too few sums.
template <class T, int VECTORS>
inline void gemm_columns(long rows, GemmOperands<T> o, int last) {
  for (long tiles = (rows + tile_rows - 1) / tile_rows; tiles > 0; --tiles) {
    const long some = (rows + tiles - 1) / tiles;
    switch (some) {
      case 6: gemm_tile<T, 6, VECTORS>(o, last); break;
      case 5: gemm_tile<T, 5, VECTORS>(o, last); break;
      case 4: gemm_tile<T, 4, VECTORS>(o, last); break;
      case 3: gemm_tile<T, 3, VECTORS>(o, last); break;
      case 2: gemm_tile<T, 2, VECTORS>(o, last); break;
      default: gemm_tile<T, 1, VECTORS>(o, last); break;
    }
    rows -= some;
    o.a += some * o.a_row;
    o.c += some * o.c_row;
  }
}

// C [rows, columns] (+)= A [rows, depth] B [depth, columns].
template <class T>
inline void gemm(long rows, long columns, const GemmOperands<T>& operands) {
  GemmOperands<T> o = operands;
  constexpr int wide = tile_vectors * lanes<T>;
  long left = columns;
  for (; left >= wide; left -= wide, o.b += wide, o.c += wide) gemm_columns<T, tile_vectors>(rows, o, 0);
  const int vectors = int((left + lanes<T> - 1) / lanes<T>), last = int(left % lanes<T>);
  if constexpr (tile_vectors == 4) {
    if (vectors == 4) return gemm_columns<T, 4>(rows, o, last);
    if (vectors == 3) return gemm_columns<T, 3>(rows, o, last);
  }
  if (vectors == 2) return gemm_columns<T, 2>(rows, o, last);
  if (vectors == 1) return gemm_columns<T, 1>(rows, o, last);
}

}  // namespace cynosure::CYNOSURE_ISA
