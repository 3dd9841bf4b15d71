// The inner loops of a convolution: one path, the edges of one receiver, a few vectors of channels.
//
// A lane is a channel. The matrix M[k][m] of the path does not depend on the channel; it is kept with the edge as
// its last axis and read as a broadcast. Everything that is summed over edges stays in registers.
#pragma once

#include "coupling.h"
#include "radial_mixing.h"

namespace cynosure::CYNOSURE_ISA {

// Edges that are worked on together, at most: a receiver with more of them takes several rounds.
constexpr int chunk = 32;

// One path and the edges of one chunk. Pointers are at the first channel of the vectors to work on, so that an
// inner loop knows no offsets but the component's.
template <class T>
struct PathChunk {
  int count;  // edges
  int dim_in, dim_out;
  long channels;      // distance between components of x, out and g
  const T* const* x;  // [edge] rows of the senders
  long x_shift;       // from a row to this path's block and channel
  const T* matrix;    // [k * dim_in + m][chunk]
  const T* weight;    // [edge][weight_row]
  long weight_row;
  T* out;      // the receiver's row, at this path's block and channel
  const T* g;  // the same of its derivative
  bool first;  // out is empty so far
};

// M of one path, lanes being edges: element (k, m) is the sum over n of C[m, n, k] Y[n]. Returns how many there are.
template <class T, class SHAPE>
__attribute__((noinline)) int contract_path(const Terms<T>& terms, const Path& path, int dim_in, const T* harmonics,
                                            T* matrix, int vectors) {
  const int cells = SHAPE::DIAGONAL ? 1 : dim_in * path.dim_out;
  for (int v = 0; v < vectors; ++v) {
    T* to = matrix + long(path.entry) * chunk + v * lanes<T>;
    if constexpr (SHAPE::EDGE > 0 && !SHAPE::DIAGONAL) {
      const T* values = terms.number_value + terms.number[path.term];
      Vec<T> y[SHAPE::EDGE];
      each<SHAPE::EDGE>(0, [&](auto n) CYNOSURE_INLINED {
        y[n] = load<T>(harmonics + (path.edge_offset + n) * chunk + v * lanes<T>);
      });
      each<SHAPE::OUT>(0, [&](auto k) CYNOSURE_INLINED {
        each<SHAPE::IN>(0, [&](auto m) CYNOSURE_INLINED {
          if (!SHAPE::has(k, m)) return;
          Vec<T> sum{};
          each<SHAPE::EDGE>(0, [&](auto n) CYNOSURE_INLINED {
            constexpr int t = SHAPE::template term<decltype(n)::value, decltype(k)::value, decltype(m)::value>;
            if constexpr (t >= 0) sum += values[t] * y[n];
          });
          store<T>(to + (k * SHAPE::IN + m) * chunk, sum);
        });
      });
    } else {
      for (int cell = 0; cell < cells; ++cell) {
        Vec<T> sum{};
        for (int t = terms.first[path.entry + cell]; t < terms.first[path.entry + cell + 1]; ++t)
          sum += terms.value[t] * load<T>(harmonics + terms.component[t] * chunk + v * lanes<T>);
        store<T>(to + cell * chunk, sum);
      }
    }
  }
  return cells;
}

// out[k] += w (M x)[k] for one edge.
template <class T, class SHAPE, int VECTORS, bool TAIL>
CYNOSURE_INLINE void edge_forward(const PathChunk<T>& p, int e, Vec<T> (&weight)[VECTORS], Vec<T> (*sum)[VECTORS],
                                  int tail) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT, width = lanes<T>;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : p.dim_out;
  const long row = p.channels;
  const T* x = p.x[e] + p.x_shift;
  const T* m = p.matrix + e;
  if constexpr (SHAPE::DIAGONAL) {
    each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { weight[v] *= m[0]; });
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
        sum[k][v] += weight[v] * get<T, TAIL>(x + k * row + v * width, tail);
      });
    });
  } else {
    // The weights multiply the shorter side.
    constexpr bool weigh_in = N1 && N3 && N1 < N3;
    Vec<T> in[SHAPE::n1][VECTORS];
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
        in[i][v] = kept(get<T, TAIL>(x + i * row + v * width, tail));
        if constexpr (weigh_in) in[i][v] *= weight[v];
      });
    });
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      Vec<T> turned[VECTORS] = {};
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
        if (!SHAPE::has(k, i)) return;
        const T turn = m[(k * d1 + i) * chunk];
        each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
          if constexpr (weigh_in)
            sum[k][v] += turn * in[i][v];
          else
            turned[v] += turn * in[i][v];
        });
      });
      if constexpr (!weigh_in)
        each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { sum[k][v] += weight[v] * turned[v]; });
    });
  }
}

// The same for all edges of a chunk, with weights from where they are kept or, with MIX, mixed in registers.
template <class T, class SHAPE, int VECTORS, bool TAIL, bool MIX>
__attribute__((noinline)) void product_forward(const PathChunk<T>& p, const Mixing<T>& mixing, int tail) {
  constexpr int N3 = SHAPE::OUT, width = lanes<T>;
  const int d3 = N3 ? N3 : p.dim_out;
  Vec<T> sum[SHAPE::n3][VECTORS];
  const auto over_out = [&](auto&& f) CYNOSURE_INLINED {
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { f(sum[k][v], p.out + k * p.channels + v * width); });
    });
  };
  over_out([&](Vec<T>& to, const T* from) CYNOSURE_INLINED { to = p.first ? Vec<T>{} : get<T, TAIL>(from, tail); });
  int e = 0;
  if constexpr (MIX)
    for (; e + mixed_edges <= p.count; e += mixed_edges) {
      Vec<T> weight[mixed_edges][VECTORS];
      mix_edges<T, mixed_edges, VECTORS, TAIL>(mixing, e, weight, tail);
      each<N3 ? mixed_edges : 0>(mixed_edges, [&](auto i) CYNOSURE_INLINED {
        edge_forward<T, SHAPE, VECTORS, TAIL>(p, e + i, weight[i], sum, tail);
      });
    }
  for (; e < p.count; ++e) {
    Vec<T> weight[1][VECTORS];
    if constexpr (MIX)
      mix_edges<T, 1, VECTORS, TAIL>(mixing, e, weight, tail);
    else
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
        weight[0][v] = get<T, TAIL>(p.weight + e * p.weight_row + v * width, tail);
      });
    edge_forward<T, SHAPE, VECTORS, TAIL>(p, e, weight[0], sum, tail);
  }
  over_out([&](const Vec<T>& from, T* to) CYNOSURE_INLINED { put<T, TAIL>(to, from, tail); });
}

// One block of x with all its paths, and the edges of one chunk.
template <class T>
struct GroupChunk {
  int count;
  int dim_in;
  long channels;
  const T* const* x;
  T* const* gx;  // [edge] rows of the senders' derivatives
  long x_shift;
  const T* matrix;  // of all paths: [entry][chunk]
  const T* weight;  // [edge][path][channel]
  T* gweight;
  long weight_row;
  const T* g;  // the receiver's whole row, at this channel
  const Path* paths;
  int num_paths;
  bool need_x;
  const T* g_more = nullptr;  // product_second.h
};

// With h = M^T g for one path and one edge:  gx[m] += w h[m]  and  gweight = sum_m x[m] h[m].
template <class T, class SHAPE, int VECTORS, bool TAIL>
CYNOSURE_INLINE void path_backward(const GroupChunk<T>& p, const Path& path, const T* x, const T* m, const T* w, T* gw,
                                   Vec<T> (*gx)[VECTORS], int tail) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT, width = lanes<T>;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : path.dim_out;
  const long row = p.channels;
  const T* g = p.g + path.out_offset;
  loads_begin();
  Vec<T> turned[SHAPE::n1][VECTORS];
  if constexpr (SHAPE::DIAGONAL) {
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
        turned[i][v] = m[0] * get<T, TAIL>(g + i * row + v * width, tail);
      });
    });
  } else {
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { turned[i][v] = Vec<T>{}; });
    });
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      Vec<T> of_out[VECTORS];
      each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { of_out[v] = kept(get<T, TAIL>(g + k * row + v * width, tail)); });
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
        if (!SHAPE::has(k, i)) return;
        const T turn = m[(k * d1 + i) * chunk];
        each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED { turned[i][v] += turn * of_out[v]; });
      });
    });
  }
  each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
    Vec<T> gweight{};
    each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
      gweight += turned[i][v] * get<T, TAIL>(x + i * row + v * width, tail);
    });
    put<T, TAIL>(gw + v * width, gweight, tail);
  });
  if (p.need_x)
    each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
      const Vec<T> weight = kept(get<T, TAIL>(w + v * width, tail));
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED { gx[i][v] += weight * turned[i][v]; });
    });
}

// The sums over a group's paths stay in registers.
template <class T, int DIM_IN, int VECTORS, bool TAIL>
__attribute__((noinline)) void product_backward(const GroupChunk<T>& group, int tail) {
  const GroupChunk<T> p = group;  // (A copy: no store can change it.)
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim, width = lanes<T>;
  for (int e = 0; e < p.count; ++e) {
    const T* x = p.x[e] + p.x_shift;
    const T* w = p.weight + e * p.weight_row;
    T* gw = p.gweight + e * p.weight_row;
    Vec<T> gx[n1][VECTORS];
    const auto over_gx = [&](auto&& f) CYNOSURE_INLINED {
      if (p.need_x)
        each<DIM_IN>(p.dim_in, [&](auto i) CYNOSURE_INLINED {
          each<VECTORS>(0, [&](auto v) CYNOSURE_INLINED {
            f(gx[i][v], p.gx[e] + p.x_shift + i * p.channels + v * width);
          });
        });
    };
    over_gx([&](Vec<T>& sum, const T* from) CYNOSURE_INLINED { sum = get<T, TAIL>(from, tail); });
    for (int q = 0; q < p.num_paths; ++q, w += p.channels, gw += p.channels) {
      const Path& path = p.paths[q];
      const T* m = p.matrix + long(path.entry) * chunk + e;
      with_shape<DIM_IN>(path, [&]<class SHAPE>() CYNOSURE_INLINED {
        path_backward<T, SHAPE, VECTORS, TAIL>(p, path, x, m, w, gw, gx, tail);
      });
    }
    over_gx([&](const Vec<T>& sum, T* to) CYNOSURE_INLINED { put<T, TAIL>(to, sum, tail); });
  }
}

// Calls f.operator()<VECTORS, TAIL>(first channel, lanes of a tail) over all channels of a path.
template <class T, class F>
CYNOSURE_INLINE void over_channels(long channels, F&& f) {
  constexpr int width = lanes<T>;
  long c = 0;
  if constexpr (CYNOSURE_VECTOR_BYTES == 64)
    for (; c + 2 * width <= channels; c += 2 * width) f.template operator()<2, false>(c, 0);
  for (; c + width <= channels; c += width) f.template operator()<1, false>(c, 0);
  if (c < channels) f.template operator()<1, true>(c, int(channels - c));
}

// The same with one vector at a time, for loops that need the registers otherwise.
template <class T, class F>
CYNOSURE_INLINE void over_single_channels(long channels, F&& f) {
  long c = 0;
  for (; c + lanes<T> <= channels; c += lanes<T>) f.template operator()<false>(c, 0);
  if (c < channels) f.template operator()<true>(c, int(channels - c));
}

}  // namespace cynosure::CYNOSURE_ISA
