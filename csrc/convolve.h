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

#include <omp.h>

#include <cstdlib>

#include "gemm.h"
#include "harmonics_gradient.h"
#include "plan.h"
#include "polynomials.h"
#include "product_second.h"

namespace cynosure::CYNOSURE_ISA {

// Scratch memory of one thread, aligned for vectors. (Not std::vector: its code would be shared between
// instruction sets by the linker.)
template <class T>
class Scratch {
 public:
  explicit Scratch(long size) : data_(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) + 127) / 64 * 64))) {}
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

struct Range {
  long begin, end;
};

// The receivers of a thread: consecutive, with about the same number of edges (and nodes) as those of the others.
inline Range receivers_of(const Edges& edges, int thread, int threads) {
  const long work = edges.edges + edges.nodes;
  auto cut = [&](int t) {
    if (t <= 0) return 0L;
    if (t >= threads) return long(edges.nodes);
    long low = 0, high = edges.nodes;
    while (low < high) {
      const long middle = (low + high) / 2;
      if ((edges.start[middle] + middle) * threads < work * t)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  };
  return {cut(thread), cut(thread + 1)};
}

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
        weight += place.interval * in.basis * plan.num_weights;
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

// Rows of senders that belong to another thread's range, collected in memory of this thread's own.
template <class T>
struct Halo {
  long dim = 0, count = 0;
  int32_t* slot = nullptr;  // [nodes], -1 where a node has none
  long* node = nullptr;     // [count]
  T* rows = nullptr;        // [count, dim]
  ~Halo() {
    std::free(slot);
    std::free(node);
    std::free(rows);
  }
  Halo() = default;
  Halo(const Halo&) = delete;
  Halo& operator=(const Halo&) = delete;
  // Finds the senders of these receivers' edges that are elsewhere; rows are up to `width` wide.
  void collect(const Edges& edges, Range mine, long width) {
    slot = static_cast<int32_t*>(std::malloc(edges.nodes * sizeof(int32_t)));
    for (long i = 0; i < edges.nodes; ++i) slot[i] = -1;
    const long begin = edges.start[mine.begin], end = edges.start[mine.end];
    const long most = end - begin < edges.nodes ? end - begin : edges.nodes;
    node = static_cast<long*>(std::malloc((most + 1) * sizeof(long)));
    for (long e = begin; e < end; ++e) {
      const long sender = edges.senders[edges.order ? edges.order[e] : e];
      if ((sender < mine.begin || sender >= mine.end) && slot[sender] < 0) {
        slot[sender] = int32_t(count);
        node[count++] = sender;
      }
    }
    rows = static_cast<T*>(std::malloc((count * width + 1) * sizeof(T)));
  }
  void clear(long width) {
    dim = width;
    for (long c = 0; c < count * dim; ++c) rows[c] = T(0);
  }
  // Where the derivative of an edge's sender is added up: in x, if it is this thread's own.
  T* row(long sender, Range mine, T* x) const {
    return sender >= mine.begin && sender < mine.end ? x + sender * dim : rows + slot[sender] * dim;
  }
};

// Adds to the rows of x that are this thread's what all threads collected for them, in the order of threads.
template <class T>
void add_halos(const Halo<T>* halos, int team, Range mine, T* x) {
  for (int other = 0; other < team; ++other) {
    const Halo<T>& halo = halos[other];
    for (long s = 0; s < halo.count; ++s) {
      const long node = halo.node[s];
      if (node < mine.begin || node >= mine.end) continue;
      T* to = x + node * halo.dim;
      const T* from = halo.rows + s * halo.dim;
      for (long c = 0; c < halo.dim; ++c) to[c] += from[c];
    }
  }
}

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
