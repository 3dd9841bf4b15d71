// Derivatives with respect to what belongs to an edge, or to the mixing weights: sums over paths and channels.
#pragma once

#include "chunk.h"

namespace cynosure::CYNOSURE_ISA {

// Sums of a chunk that are kept lane by lane, [edge][component][lane], until all paths have added to them.
template <class T>
void clear(T* sums, long vectors) {
  for (long c = 0; c < vectors; ++c) store<T>(sums + c * lanes<T>, Vec<T>{});
}

template <class T>
void reduce(const ChunkWork<T>& work, const T* sums, long components, T* result, bool add = false) {
  constexpr int width = lanes<T>;
  for (int e = 0; e < work.count; ++e) {
    const T* from = sums + e * components * width;
    T* to = result + work.edge[e] * components;
    for (long n = 0; n < components; n += width) {
      const int some = int(components - n < width ? components - n : width);
      Vec<T> part[width];
      for (int i = 0; i < width; ++i) part[i] = i < some ? load<T>(from + (n + i) * width) : Vec<T>{};
      Vec<T> total = sums_of_lanes<T>(part);
      if (add) total += load_first<T>(to + n, some);
      store_first<T>(to + n, total, some);
    }
  }
}

// The sums of a chunk for its radial functions, taken on to the distances by their slopes.
template <class T>
void add_slopes(const ChunkWork<T>& work, const ConvolveInputs<T>& in, const T* sums, T* of_distances) {
  constexpr int width = lanes<T>;
  for (int e = 0; e < work.count; ++e) {
    if (in.slopes) {
      const T* slopes = in.slopes + work.edge[e] * in.basis;
      Vec<T> total{};
      for (long b = 0; b < in.basis; ++b) total += slopes[b] * load<T>(sums + (e * in.basis + b) * width);
      Vec<T> part[width] = {total};
      of_distances[work.edge[e]] += sums_of_lanes<T>(part)[0];
      continue;
    }
    T of_radial[max_terms];
    for (long b = 0; b < in.basis; b += width) {
      Vec<T> part[width];
      for (int i = 0; i < width; ++i)
        part[i] = b + i < in.basis ? load<T>(sums + (e * in.basis + b + i) * width) : Vec<T>{};
      store<T>(of_radial + b, sums_of_lanes<T>(part));
    }
    const Place<T> place(*in.intervals, in.distances[work.edge[e]]);
    of_distances[work.edge[e]] +=
        2 * in.intervals->inverse_step * chebyshev_slope<T>(place.t, in.basis, of_radial);
  }
}

// of_radial[edge][b], lane by lane, += sum over paths and channels of W[b][path, channel] gweight[edge][path, channel]
// for EDGES edges and BASIS functions.
template <class T, int EDGES, int BASIS>
CYNOSURE_INLINE void radial_tile(long length, const T* w, long w_row, const T* gw, long gw_row, T* sums,
                                 long sums_row) {
  constexpr int width = lanes<T>;
  Vec<T> sum[EDGES][BASIS];
  for (int e = 0; e < EDGES; ++e)
    for (int b = 0; b < BASIS; ++b) sum[e][b] = load<T>(sums + e * sums_row + b * width);
  long c = 0;
  for (; c + width <= length; c += width) {
    Vec<T> value[EDGES];
    for (int e = 0; e < EDGES; ++e) value[e] = load<T>(gw + e * gw_row + c);
    for (int b = 0; b < BASIS; ++b) {
      const Vec<T> mixing = kept(load<T>(w + b * w_row + c));
      for (int e = 0; e < EDGES; ++e) sum[e][b] += value[e] * mixing;
    }
  }
  if (c < length) {
    const int tail = int(length - c);
    for (int b = 0; b < BASIS; ++b) {
      const Vec<T> mixing = load_first<T>(w + b * w_row + c, tail);
      for (int e = 0; e < EDGES; ++e) sum[e][b] += load_first<T>(gw + e * gw_row + c, tail) * mixing;
    }
  }
  for (int e = 0; e < EDGES; ++e)
    for (int b = 0; b < BASIS; ++b) store<T>(sums + e * sums_row + b * width, sum[e][b]);
}

template <class T, int BASIS>
__attribute__((noinline)) void radial_rows(int edges, long length, const T* w, long w_row, const T* gw, T* sums,
                                           long sums_row) {
  constexpr int most = registers == 16 ? 1 : BASIS == 8 ? 3 : 4;
  int e = 0;
  for (; e + most <= edges; e += most)
    radial_tile<T, most, BASIS>(length, w, w_row, gw + e * length, length, sums + e * sums_row, sums_row);
  if constexpr (most > 2)
    for (; e + 2 <= edges; e += 2)
      radial_tile<T, 2, BASIS>(length, w, w_row, gw + e * length, length, sums + e * sums_row, sums_row);
  if constexpr (most > 1)
    for (; e < edges; ++e)
      radial_tile<T, 1, BASIS>(length, w, w_row, gw + e * length, length, sums + e * sums_row, sums_row);
}

template <class T>
void add_radial_of(const Plan<T>& plan, const Group& group, long basis, int edges, const T* w, const T* gweight,
                   T* of_radial) {
  constexpr int width = lanes<T>;
  const long length = long(group.num_paths) * group.channels, row = plan.num_weights, sums_row = basis * width;
  long b = 0;
  const auto some = [&]<int BASIS>() {
    for (; b + BASIS <= basis; b += BASIS)
      radial_rows<T, BASIS>(edges, length, w + b * row, row, gweight, of_radial + b * width, sums_row);
  };
  some.template operator()<8>();
  some.template operator()<4>();
  some.template operator()<2>();
  some.template operator()<1>();
}

// The same for a chunk, whose edges may differ in their weights W.
template <class T>
void add_radial(const Plan<T>& plan, const Group& group, long basis, const ChunkWork<T>& work, T* of_radial) {
  const long length = long(group.num_paths) * group.channels;
  for (int s = 0; s < work.stretches; ++s)
    add_radial_of<T>(plan, group, basis, work.stretch[s].count, work.stretch[s].weight + group.weight_offset,
                     work.gweight + work.stretch[s].first * length,
                     of_radial + work.stretch[s].first * basis * lanes<T>);
}

// gW[b][path, channel] += sum over edges of R[edge][b] gweight[edge][path, channel]
template <class T>
void add_weight(const Plan<T>& plan, const Group& group, long basis, int count, const T* radial, const T* gweight,
                T* result) {
  const long length = long(group.num_paths) * group.channels;
  gemm<T>(basis, length,
          {count, radial, 1, basis, gweight, length, result + group.weight_offset, plan.num_weights, true});
}

// The sums of a chunk that the derivatives with respect to an edge's own arguments take.
template <class T>
struct EdgeSums {
  Scratch<T> of_harmonics, of_radial;
  EdgeSums(const Plan<T>& plan, const ConvolveInputs<T>& in, const ConvolveGradients<T>& gradients)
      : of_harmonics(gradients.harmonics ? long(plan.dim_edge) * chunk * lanes<T> : 1),
        of_radial(gradients.radial || gradients.distances ? in.basis * chunk * lanes<T> : 1) {}
};

}  // namespace cynosure::CYNOSURE_ISA
