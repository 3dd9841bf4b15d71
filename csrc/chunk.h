// The few edges of a receiver that are worked on at a time.
#pragma once

#include "gemm.h"
#include "polynomials.h"
#include "product.h"
#include "sharing.h"

namespace cynosure::CYNOSURE_ISA {

// What one round works on: the edges, their senders' rows, radial functions and matrices.
template <class T>
struct ChunkWork {
  const Plan<T>& plan;
  const Edges& edges;
  const long basis;
  Scratch<T> harmonics, radial, matrix, weight, gweight;
  const T* x[chunk];
  T* gx[chunk];
  long edge[chunk];
  int count = 0;
  // Edges that follow each other and share their mixing weights.
  struct Stretch {
    int first, count;
    const T* weight;
  } stretch[chunk];
  int stretches = 0;

  ChunkWork(const Plan<T>& p, const Edges& e, const ConvolveInputs<T>& in)
      : plan(p),
        edges(e),
        basis(in.basis),
        harmonics(long(p.dim_edge) * chunk),
        radial(in.basis * chunk),
        matrix(long(p.num_entries) * chunk),
        weight(long(p.max_weights) * chunk),
        gweight(long(p.max_weights) * chunk) {}

  void take(long first, int number, const ConvolveInputs<T>& in) {
    count = number;
    stretches = 0;
    for (int e = 0; e < count; ++e) {
      edge[e] = edges.order ? edges.order[first + e] : first + e;
      x[e] = in.x + edges.senders[edge[e]] * plan.dim_x;
      const T* weight = in.weight;
      if (in.intervals) {
        const Place<T> place(*in.intervals, in.distances[edge[e]]);
        chebyshev<T>(place.t, in.basis, radial + e * in.basis);
        const long table = in.slots ? long(in.slots[edge[e]]) * in.intervals->count : 0;
        weight += (table + place.interval) * in.basis * plan.num_weights;
      } else {
        for (long b = 0; b < in.basis; ++b) radial[e * in.basis + b] = in.radial[edge[e] * in.basis + b];
      }
      if (e == 0 || stretch[stretches - 1].weight != weight) stretch[stretches++] = {e, 0, weight};
      ++stretch[stretches - 1].count;
    }
    contract(in.harmonics, matrix);
  }

  // M of every distinct path and edge of the chunk, from harmonics [edges, dim_edge].
  void contract(const T* y, T* result) {
    const int vectors = (count + lanes<T> - 1) / lanes<T>, padded = vectors * lanes<T>;
    for (int e = 0; e < count; ++e) {
      const T* row = y + edge[e] * plan.dim_edge;
      for (int n = 0; n < plan.dim_edge; ++n) harmonics[n * chunk + e] = row[n];
    }
    for (int e = count; e < padded; ++e)
      for (int n = 0; n < plan.dim_edge; ++n) harmonics[n * chunk + e] = T(0);
    int32_t done = 0;  // Matrices are numbered by the first path that has them.
    for (int b = 0; b < plan.num_groups; ++b)
      for (int q = 0; q < plan.groups[b].num_paths; ++q) {
        const Path& path = plan.paths[plan.groups[b].first_path + q];
        if (path.entry < done) continue;
        with_shape_of(plan.groups[b], path, [&]<class SHAPE>() {
          done = path.entry + contract_path<T, SHAPE>(plan.terms, path, plan.groups[b].dim_in, harmonics, result,
                                                      vectors);
        });
      }
  }

  // weight[edge][path, channel] = sum_b R[edge][b] W[b][path, channel] for the paths of a group
  void mix(const Group& group) {
    const long row = long(group.num_paths) * group.channels;
    for (int s = 0; s < stretches; ++s)
      gemm<T>(stretch[s].count, row,
              {basis, radial + stretch[s].first * basis, basis, 1, stretch[s].weight + group.weight_offset,
               plan.num_weights, weight + stretch[s].first * row, row, false});
  }

  // Where all edges share their mixing weights.
  Mixing<T> mixing(const Group& group, int q, long channel) const {
    return {basis, radial, stretch[0].weight + group.weight_offset + q * long(group.channels) + channel, plan.num_weights};
  }

  PathChunk<T> at(const Group& group, int q, long channel, T* out, const T* g, bool first) const {
    const Path& path = plan.paths[group.first_path + q];
    return {count,
            group.dim_in,
            path.dim_out,
            group.channels,
            x,
            group.x_offset + channel,
            matrix + long(path.entry) * chunk,
            weight + q * long(group.channels) + channel,
            long(group.num_paths) * group.channels,
            out ? out + path.out_offset + channel : nullptr,
            g ? g + path.out_offset + channel : nullptr,
            first};
  }

  GroupChunk<T> at(const Group& group, long channel, const T* g, bool need_x) const {
    return {count,
            group.dim_in,
            group.channels,
            x,
            gx,
            group.x_offset + channel,
            matrix,
            weight + channel,
            gweight + channel,
            long(group.num_paths) * group.channels,
            g + channel,
            plan.paths + group.first_path,
            group.num_paths,
            need_x};
  }
};

}  // namespace cynosure::CYNOSURE_ISA
