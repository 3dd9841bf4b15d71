// The fused convolution: gather, tensor product, radial mixing, sum over neighbours; and its derivatives.
//
//   out_i[p, k, c] = sum over edges (i, j), over m, n, b of  C^p[m, n, k] x_j[m, c] Y_ij[n] R_ij[b] W[b, p, c]
//
// 1. A receiver's edges are taken in chunks. For a chunk, Clebsch-Gordan numbers are contracted with Y into the
//    small matrices M[k][m] of every distinct path, lanes being edges.
// 2. For each path, R W gives the weights of the chunk's edges: a small matrix product that stays in cache.
// 3. The inner loops of product.h do the rest, lanes being channels.
//
// No array has an edge axis and a channel axis, but for the few edges of a chunk.
#pragma once

#include "edge_sums.h"
#include "harmonics_gradient.h"
#include "product_second.h"

namespace cynosure::CYNOSURE_ISA {

// out of one receiver, [dim_out].
template <class T>
void receive(ChunkWork<T>& work, const ConvolveInputs<T>& in, long receiver, T* row) {
  const Plan<T>& plan = work.plan;
  long first = work.edges.start[receiver];
  const long last = work.edges.start[receiver + 1];
  if (first == last)
    for (int c = 0; c < plan.dim_out; ++c) row[c] = T(0);
  for (bool fresh = true; first < last; first += chunk, fresh = false) {
    work.take(first, int(last - first < chunk ? last - first : chunk), in);
    for (int b = 0; b < plan.num_groups; ++b) {
      const Group& group = plan.groups[b];
      const bool in_registers = mix_in_registers && work.stretches == 1;
      if (!in_registers) work.mix(group);
      over_channels<T>(group.channels, [&]<int VECTORS, bool TAIL>(long c, int tail) {
        for (int q = 0; q < group.num_paths; ++q)
          with_shape_of(group, plan.paths[group.first_path + q], [&]<class SHAPE>() {
            // (Two vectors of seven components do not fit the registers.)
            constexpr int some = SHAPE::IN > 5 || SHAPE::OUT > 5 ? 1 : VECTORS;
            for (long some_c = c; some_c < c + VECTORS * lanes<T>; some_c += some * lanes<T>) {
              const PathChunk<T> here = work.at(group, q, some_c, row, nullptr, fresh);
              if (in_registers)
                product_forward<T, SHAPE, some, TAIL, mix_in_registers>(here, work.mixing(group, q, some_c), tail);
              else
                product_forward<T, SHAPE, some, TAIL, false>(here, {}, tail);
            }
          });
      });
    }
  }
}

template <class T>
void convolve_forward(const Plan<T>& plan, const Edges& edges, const ConvolveInputs<T>& in, T* out, int threads) {
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    ChunkWork<T> work(plan, edges, in);
    const Range mine = receivers_of(edges, omp_get_thread_num(), omp_get_num_threads());
    for (long i = mine.begin; i < mine.end; ++i) receive(work, in, i, out + i * plan.dim_out);
  }
}

// Sums that several threads add to: the derivatives with respect to senders' features and to the mixing weights.
//
// Each thread works on the receivers of its range. What it adds to a sender goes to the result at once where the
// sender is in that range, and to the thread's halo elsewhere; halos are added at the end, by owner and in the order
// of threads, hence equally at every call. Weights are summed per thread and then in the order of threads.
template <class T>
class SharedSums {
 public:
  // Either result may be null. `threads` at most will take part.
  SharedSums(T* x, long dim_x, T* weight, long weight_size, int threads)
      : x_(x),
        dim_x_(dim_x),
        weight_(weight),
        weight_size_(weight_size),
        threads_(threads),
        halos_(new Halo<T>[threads]),
        weights_(static_cast<T**>(std::calloc(threads, sizeof(T*)))) {}
  ~SharedSums() {
    for (int t = 1; t < threads_; ++t) std::free(weights_[t]);
    std::free(weights_);
    delete[] halos_;
  }
  SharedSums(const SharedSums&) = delete;
  SharedSums& operator=(const SharedSums&) = delete;

  // Called by every thread before its work; zeroes its part.
  void begin(const Edges& edges, int me, int team, Range mine) {
    if (x_) {
      halos_[me].dim = dim_x_;
      if (team > 1) {
        halos_[me].collect(edges, mine, dim_x_);
        halos_[me].clear(dim_x_);
      }
      T* first = x_ + mine.begin * dim_x_;
      for (long c = 0; c < (mine.end - mine.begin) * dim_x_; ++c) first[c] = T(0);
    }
    if (weight_) {
      weights_[me] = me == 0 ? weight_ : static_cast<T*>(std::malloc(weight_size_ * sizeof(T)));
      for (long c = 0; c < weight_size_; ++c) weights_[me][c] = T(0);
    }
  }

  // The rows that a thread adds to for the edges of a chunk.
  void rows(const Edges& edges, int me, Range mine, ChunkWork<T>& work) const {
    if (!x_) return;
    for (int e = 0; e < work.count; ++e) work.gx[e] = halos_[me].row(edges.senders[work.edge[e]], mine, x_);
  }

  T* weight(int me) const { return weights_[me]; }

  // Called by every thread after its work.
  void end(int team, Range mine) {
    if (team == 1) return;
#pragma omp barrier
    if (x_) add_halos(halos_, team, mine, x_);
    if (weight_) {
#pragma omp for schedule(static)
      for (long c = 0; c < weight_size_; ++c)
        for (int other = 1; other < team; ++other) weight_[c] += weights_[other][c];
    }
  }

 private:
  T* x_;
  long dim_x_;
  T* weight_;
  long weight_size_;
  int threads_;
  Halo<T>* halos_;
  T** weights_;
};

// The derivatives of <g, out> that the edges of one receiver give, g being that receiver's row. `rows` sets work.gx of
// a chunk; `of_weight` is where the derivative with respect to the weights is added up.
template <class T, class Rows>
void receive_backward(ChunkWork<T>& work, EdgeSums<T>& sums, const ConvolveInputs<T>& in, long receiver, const T* row,
                      const ConvolveGradients<T>& gradients, T* of_weight, Rows&& rows) {
  constexpr int width = lanes<T>;
  const Plan<T>& plan = work.plan;
  const bool need_radial = gradients.radial || gradients.distances;
  const long last = work.edges.start[receiver + 1];
  for (long first = work.edges.start[receiver]; first < last; first += chunk) {
    work.take(first, int(last - first < chunk ? last - first : chunk), in);
    rows(work);
    if (gradients.harmonics) clear<T>(sums.of_harmonics, long(plan.dim_edge) * work.count);
    if (need_radial) clear<T>(sums.of_radial, in.basis * work.count);
    for (int b = 0; b < plan.num_groups; ++b) {
      const Group& group = plan.groups[b];
      work.mix(group);
      if (gradients.x || need_radial || gradients.weight)
        over_channels<T>(group.channels, [&]<int VECTORS, bool TAIL>(long c, int tail) {
          with_dim(group.dim_in, [&]<int IN>() {
            constexpr int some = IN > 5 ? 1 : VECTORS;
            for (long some_c = c; some_c < c + VECTORS * lanes<T>; some_c += some * lanes<T>)
              product_backward<T, IN, some, TAIL>(work.at(group, some_c, row, gradients.x != nullptr), tail);
          });
        });
      if (gradients.harmonics)
        for (int q = 0; q < group.num_paths; ++q) {
          const Path& path = plan.paths[group.first_path + q];
          with_shape_of(group, path, [&]<class SHAPE>() {
            product_harmonics<T, SHAPE>(work.at(group, q, 0, nullptr, row, false), plan.terms, path,
                                        sums.of_harmonics + path.edge_offset * width, long(plan.dim_edge) * width);
          });
        }
      if (need_radial) add_radial<T>(plan, group, in.basis, work, sums.of_radial);
      if (gradients.weight)
        add_weight<T>(plan, group, in.basis, work.count, work.radial, work.gweight, of_weight);
    }
    if (gradients.harmonics)
      reduce<T>(work, sums.of_harmonics, plan.dim_edge, gradients.harmonics, gradients.add_harmonics);
    if (gradients.radial) reduce<T>(work, sums.of_radial, in.basis, gradients.radial);
    if (gradients.distances) add_slopes<T>(work, in, sums.of_radial, gradients.distances);
  }
}

// The derivatives of <g, out>.
template <class T>
void convolve_backward(const Plan<T>& plan, const Edges& edges, const ConvolveInputs<T>& in, const T* g,
                       const ConvolveGradients<T>& gradients, int threads) {
  SharedSums<T> sums(gradients.x, plan.dim_x, gradients.weight, in.basis * plan.num_weights, threads);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const int me = omp_get_thread_num(), team = omp_get_num_threads();
    const Range mine = receivers_of(edges, me, team);
    sums.begin(edges, me, team, mine);
    ChunkWork<T> work(plan, edges, in);
    EdgeSums<T> edge_sums(plan, in, gradients);
    for (long i = mine.begin; i < mine.end; ++i)
      receive_backward(work, edge_sums, in, i, g + i * plan.dim_out, gradients, sums.weight(me),
                       [&](ChunkWork<T>& chunk_work) { sums.rows(edges, me, mine, chunk_work); });
    sums.end(team, mine);
  }
}

// The derivatives of the derivatives of <g, out> along u, as training on forces needs them: see SecondGradients.
// `u` has x, harmonics and radial; the derivative with respect to Y is not among the results.
template <class T>
void convolve_second(const Plan<T>& plan, const Edges& edges, const ConvolveInputs<T>& in, const T* g,
                     const ConvolveInputs<T>& u, const SecondGradients<T>& gradients, int threads) {
  SharedSums<T> sums(gradients.x, plan.dim_x, gradients.weight, in.basis * plan.num_weights, threads);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const int me = omp_get_thread_num(), team = omp_get_num_threads();
    const Range mine = receivers_of(edges, me, team);
    sums.begin(edges, me, team, mine);
    ChunkWork<T> work(plan, edges, in);
    Scratch<T> umatrix(long(plan.num_entries) * chunk), uradial(in.basis * chunk);
    Scratch<T> uweight(long(plan.max_weights) * chunk), ugweight(long(plan.max_weights) * chunk);
    Scratch<T> of_radial(gradients.radial ? in.basis * chunk * lanes<T> : 1);
    const T* ux[chunk];
    for (long i = mine.begin; i < mine.end; ++i) {
      const T* row = g + i * plan.dim_out;
      T* out = gradients.g ? gradients.g + i * plan.dim_out : nullptr;
      long first = edges.start[i];
      const long last = edges.start[i + 1];
      if (out && first == last)
        for (int c = 0; c < plan.dim_out; ++c) out[c] = T(0);
      for (bool fresh = true; first < last; first += chunk, fresh = false) {
        work.take(first, int(last - first < chunk ? last - first : chunk), in);
        work.contract(u.harmonics, umatrix);
        for (int e = 0; e < work.count; ++e) {
          ux[e] = u.x + edges.senders[work.edge[e]] * plan.dim_x;
          for (long b = 0; b < in.basis; ++b) uradial[e * in.basis + b] = u.radial[work.edge[e] * in.basis + b];
        }
        sums.rows(edges, me, mine, work);
        if (gradients.radial) clear<T>(of_radial, in.basis * work.count);
        for (int b = 0; b < plan.num_groups; ++b) {
          const Group& group = plan.groups[b];
          const long length = long(group.num_paths) * group.channels;
          work.mix(group);
          gemm<T>(work.count, length,
                  {in.basis, uradial, in.basis, 1, in.weight + group.weight_offset, plan.num_weights, uweight, length,
                   false});
          over_single_channels<T>(group.channels, [&]<bool TAIL>(long c, int tail) {
            if (out)
              for (int q = 0; q < group.num_paths; ++q) {
                const Path& path = plan.paths[group.first_path + q];
                const Direction<T> along{ux, umatrix + long(path.entry) * chunk,
                                         uweight + q * long(group.channels) + c};
                with_shape_of(group, path, [&]<class SHAPE>() {
                  product_along<T, SHAPE, TAIL>(work.at(group, q, c, out, nullptr, fresh), along, tail);
                });
              }
            if (gradients.x || gradients.radial || gradients.weight)
              with_dim(group.dim_in, [&]<int IN>() {
                product_backward_along<T, IN, TAIL>(work.at(group, c, row, gradients.x != nullptr),
                                                    {ux, umatrix, uweight + c}, ugweight + c, tail);
              });
          });
          if (gradients.radial) add_radial<T>(plan, group, in.basis, work, of_radial);
          if (gradients.weight) {
            add_weight<T>(plan, group, in.basis, work.count, work.radial, work.gweight, sums.weight(me));
            add_weight<T>(plan, group, in.basis, work.count, uradial, ugweight, sums.weight(me));
          }
        }
        if (gradients.radial) reduce<T>(work, of_radial, in.basis, gradients.radial);
      }
    }
    sums.end(team, mine);
  }
}

}  // namespace cynosure::CYNOSURE_ISA
