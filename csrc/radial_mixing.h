// Weights mixed from radial functions in registers, where they are used: w[edge] = sum_b R[edge][b] W[b].
#pragma once

#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// Stores are dear (a 512-bit one takes the place of more than one multiply-add on Zen 4), so that where two vectors of
// channels and the weights of four edges fit the registers, weights are better not written to memory.
constexpr bool mix_in_registers = CYNOSURE_VECTOR_BYTES == 64;
constexpr int mixed_edges = 4;

// The radial functions of a chunk, and their mixing into the weights of a path, from the first channel to work on.
template <class T>
struct Mixing {
  long basis;
  const T* radial;  // [edge][basis]
  const T* weight;  // [basis][weight_row]
  long weight_row;
};

// The weights of EDGES edges from `first` on.
template <class T, int EDGES, int VECTORS, bool TAIL>
CYNOSURE_INLINE void mix_edges(const Mixing<T>& mixing, long first, Vec<T> (*weight)[VECTORS], int tail) {
  const T* r = mixing.radial + first * mixing.basis;
  const T* w = mixing.weight;
  each<EDGES>(0, [&](auto e) CYNOSURE_INLINED {
    each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { weight[e][v] = Vec<T>{}; });
  });
  for (long b = 0; b < mixing.basis; ++b, ++r, w += mixing.weight_row) {
    Vec<T> row[VECTORS];
    each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { row[v] = kept(get<T, TAIL>(w + v * lanes<T>, tail)); });
    each<EDGES>(0, [&](auto e) CYNOSURE_INLINED {
      const T radial = r[e * mixing.basis];
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { weight[e][v] += radial * row[v]; });
    });
  }
}

}  // namespace cynosure::CYNOSURE_ISA
