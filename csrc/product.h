// The inner loops of a convolution: one path, the edges of one receiver, a few vectors of channels.
//
// A lane is a channel. The matrix M[k][m] of the path does not depend on the channel; it is kept with the edge as
// its last axis and read as a broadcast. Everything that is summed over edges stays in registers.
#pragma once

#include "plan.h"
#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// Edges that are worked on together, at most: a receiver with more of them takes several rounds.
constexpr int chunk = 32;
// The largest 2l + 1 that the loops with sizes known at run time hold.
constexpr int max_dim = 21;

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

template <class T, bool TAIL>
CYNOSURE_INLINE Vec<T> get(const T* p, int tail) {
  if constexpr (TAIL)
    return load_first<T>(p, tail);
  else
    return load<T>(p);
}

template <class T, bool TAIL>
CYNOSURE_INLINE void put(T* p, Vec<T> v, int tail) {
  if constexpr (TAIL)
    store_first<T>(p, v, tail);
  else
    store<T>(p, v);
}

// out[k] += sum over edges of w (M x)[k]
template <class T, int DIM_IN, int DIM_OUT, bool DIAGONAL, int VECTORS, bool TAIL>
__attribute__((noinline)) void product_forward(const PathChunk<T>& p, int tail) {
  const int d1 = DIM_IN ? DIM_IN : p.dim_in, d3 = DIM_OUT ? DIM_OUT : p.dim_out;
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim, n3 = DIM_OUT ? DIM_OUT : max_dim;
  constexpr int width = lanes<T>;
  Vec<T> sum[n3][VECTORS];
  for (int k = 0; k < d3; ++k)
    for (int v = 0; v < VECTORS; ++v)
      sum[k][v] = p.first ? Vec<T>{} : get<T, TAIL>(p.out + k * p.channels + v * width, tail);
  for (int e = 0; e < p.count; ++e) {
    const T* x = p.x[e] + p.x_shift;
    const T* m = p.matrix + e;
    const T* w = p.weight + e * p.weight_row;
    if constexpr (DIAGONAL) {
      for (int v = 0; v < VECTORS; ++v) {
        const Vec<T> scaled = m[0] * get<T, TAIL>(w + v * width, tail);
        for (int k = 0; k < d3; ++k) sum[k][v] += scaled * get<T, TAIL>(x + k * p.channels + v * width, tail);
      }
    } else if constexpr (DIM_IN < DIM_OUT) {
      Vec<T> weighted[n1][VECTORS];
      for (int i = 0; i < d1; ++i)
        for (int v = 0; v < VECTORS; ++v)
          weighted[i][v] = get<T, TAIL>(w + v * width, tail) * get<T, TAIL>(x + i * p.channels + v * width, tail);
      for (int k = 0; k < d3; ++k)
        for (int i = 0; i < d1; ++i)
          for (int v = 0; v < VECTORS; ++v) sum[k][v] += m[(k * d1 + i) * chunk] * weighted[i][v];
    } else {
      Vec<T> in[n1][VECTORS];
      for (int i = 0; i < d1; ++i)
        for (int v = 0; v < VECTORS; ++v) in[i][v] = get<T, TAIL>(x + i * p.channels + v * width, tail);
      for (int k = 0; k < d3; ++k)
        for (int v = 0; v < VECTORS; ++v) {
          Vec<T> turned = m[k * d1 * chunk] * in[0][v];
          for (int i = 1; i < d1; ++i) turned += m[(k * d1 + i) * chunk] * in[i][v];
          sum[k][v] += get<T, TAIL>(w + v * width, tail) * turned;
        }
    }
  }
  for (int k = 0; k < d3; ++k)
    for (int v = 0; v < VECTORS; ++v) put<T, TAIL>(p.out + k * p.channels + v * width, sum[k][v], tail);
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
};

// For each path, with h = M^T g:  gx[m] += w h[m]  and  gweight = sum_m x[m] h[m]. The sums over paths stay in
// registers; the number of components that leave a path only bounds a loop.
template <class T, int DIM_IN, int VECTORS, bool TAIL, bool NEED_X>
__attribute__((noinline)) void product_backward(const GroupChunk<T>& p, int tail) {
  const int d1 = DIM_IN ? DIM_IN : p.dim_in;
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim;
  constexpr int width = lanes<T>;
  for (int e = 0; e < p.count; ++e) {
    const T* x = p.x[e] + p.x_shift;
    const T* w = p.weight + e * p.weight_row;
    T* gw = p.gweight + e * p.weight_row;
    Vec<T> gx[n1][VECTORS];
    if constexpr (NEED_X)
      for (int i = 0; i < d1; ++i)
        for (int v = 0; v < VECTORS; ++v)
          gx[i][v] = get<T, TAIL>(p.gx[e] + p.x_shift + i * p.channels + v * width, tail);
    for (int q = 0; q < p.num_paths; ++q, w += p.channels, gw += p.channels) {
      const Path& path = p.paths[q];
      const T* m = p.matrix + long(path.entry) * chunk + e;
      const T* g = p.g + path.out_offset;
      Vec<T> turned[n1][VECTORS];
      if (path.diagonal) {
        for (int i = 0; i < d1; ++i)
          for (int v = 0; v < VECTORS; ++v)
            turned[i][v] = m[0] * get<T, TAIL>(g + i * p.channels + v * width, tail);
      } else {
        for (int i = 0; i < d1; ++i)
          for (int v = 0; v < VECTORS; ++v) turned[i][v] = m[i * chunk] * get<T, TAIL>(g + v * width, tail);
        for (int k = 1; k < path.dim_out; ++k) {
          m += d1 * chunk;
          g += p.channels;
          Vec<T> row[VECTORS];
          for (int v = 0; v < VECTORS; ++v) row[v] = get<T, TAIL>(g + v * width, tail);
          for (int i = 0; i < d1; ++i)
            for (int v = 0; v < VECTORS; ++v) turned[i][v] += m[i * chunk] * row[v];
        }
      }
      Vec<T> gweight[VECTORS];
      for (int v = 0; v < VECTORS; ++v) {
        gweight[v] = turned[0][v] * get<T, TAIL>(x + v * width, tail);
        for (int i = 1; i < d1; ++i)
          gweight[v] += turned[i][v] * get<T, TAIL>(x + i * p.channels + v * width, tail);
        put<T, TAIL>(gw + v * width, gweight[v], tail);
        if constexpr (NEED_X) {
          const Vec<T> weight = get<T, TAIL>(w + v * width, tail);
          for (int i = 0; i < d1; ++i) gx[i][v] += weight * turned[i][v];
        }
      }
    }
    if constexpr (NEED_X)
      for (int i = 0; i < d1; ++i)
        for (int v = 0; v < VECTORS; ++v)
          put<T, TAIL>(p.gx[e] + p.x_shift + i * p.channels + v * width, gx[i][v], tail);
  }
}

// of_harmonics[edge][n], lane by lane, += sum over k, m, channels of C[m, n, k] w g[k] x[m]
//
// The outer product w g (x) x is summed over channels first and contracted after: C does not know the channel.
template <class T, int DIM_IN, int DIM_OUT, bool DIAGONAL>
__attribute__((noinline)) void product_harmonics(const PathChunk<T>& p, const Terms<T>& terms, const Path& path,
                                                 T* of_harmonics, long row) {
  const int d1 = DIM_IN ? DIM_IN : p.dim_in, d3 = DIM_OUT ? DIM_OUT : p.dim_out;
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim, n3 = DIM_OUT ? DIM_OUT : max_dim;
  constexpr int width = lanes<T>;
  // (A lambda for the body of the two channel loops would be shorter, but its captures take sums out of registers.)
  for (int e = 0; e < p.count; ++e) {
    const T* x = p.x[e] + p.x_shift;
    const T* w = p.weight + e * p.weight_row;
    Vec<T> sum[DIAGONAL ? 1 : n3][DIAGONAL ? 1 : n1];
    for (int k = 0; k < (DIAGONAL ? 1 : d3); ++k)
      for (int i = 0; i < (DIAGONAL ? 1 : d1); ++i) sum[k][i] = Vec<T>{};
    long c = 0;
    for (; c + width <= p.channels; c += width) {
      const Vec<T> weight = load<T>(w + c);
      for (int k = 0; k < d3; ++k) {
        const Vec<T> weighted = weight * load<T>(p.g + k * p.channels + c);
        if constexpr (DIAGONAL)
          sum[0][0] += weighted * load<T>(x + k * p.channels + c);
        else
          for (int i = 0; i < d1; ++i) sum[k][i] += weighted * load<T>(x + i * p.channels + c);
      }
    }
    if (c < p.channels) {
      const int tail = int(p.channels - c);
      const Vec<T> weight = load_first<T>(w + c, tail);
      for (int k = 0; k < d3; ++k) {
        const Vec<T> weighted = weight * load_first<T>(p.g + k * p.channels + c, tail);
        if constexpr (DIAGONAL)
          sum[0][0] += weighted * load_first<T>(x + k * p.channels + c, tail);
        else
          for (int i = 0; i < d1; ++i) sum[k][i] += weighted * load_first<T>(x + i * p.channels + c, tail);
      }
    }
    Vec<T> outer[DIAGONAL ? 1 : n3 * n1];
    for (int k = 0; k < (DIAGONAL ? 1 : d3); ++k)
      for (int i = 0; i < (DIAGONAL ? 1 : d1); ++i) outer[k * d1 + i] = sum[k][i];
    T* to = of_harmonics + e * row;
    const int32_t* number = terms.number + path.term;
    for (int n = 0, t = number[0]; n < path.dim_edge; ++n, to += width) {
      Vec<T> total = load<T>(to);
      for (const int end = number[n + 1]; t < end; ++t) total += terms.number_value[t] * outer[terms.element[t]];
      store<T>(to, total);
    }
  }
}

// What a second derivative works on besides: the direction u, in the same places as what it belongs to.
template <class T>
struct Direction {
  const T* const* x;  // [edge] rows of u_x
  const T* matrix;    // M of u_Y
  const T* weight;    // u_R W
};

// out[k] += sum over edges of w (M u_x + M_u x)[k] + w_u (M x)[k], the derivative of out along u
template <class T, int DIM_IN, int DIM_OUT, bool DIAGONAL, bool TAIL>
__attribute__((noinline)) void product_along(const PathChunk<T>& p, const Direction<T>& u, int tail) {
  const int d1 = DIM_IN ? DIM_IN : p.dim_in, d3 = DIM_OUT ? DIM_OUT : p.dim_out;
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim, n3 = DIM_OUT ? DIM_OUT : max_dim;
  Vec<T> sum[n3];
  for (int k = 0; k < d3; ++k) sum[k] = p.first ? Vec<T>{} : get<T, TAIL>(p.out + k * p.channels, tail);
  for (int e = 0; e < p.count; ++e) {
    const T *x = p.x[e] + p.x_shift, *ux = u.x[e] + p.x_shift;
    const T *m = p.matrix + e, *um = u.matrix + e;
    const Vec<T> weight = get<T, TAIL>(p.weight + e * p.weight_row, tail);
    const Vec<T> uweight = get<T, TAIL>(u.weight + e * p.weight_row, tail);
    if constexpr (DIAGONAL) {
      const Vec<T> of_x = um[0] * weight + m[0] * uweight, of_ux = m[0] * weight;
      for (int k = 0; k < d3; ++k)
        sum[k] += of_x * get<T, TAIL>(x + k * p.channels, tail) + of_ux * get<T, TAIL>(ux + k * p.channels, tail);
    } else {
      Vec<T> in[n1], uin[n1];
      for (int i = 0; i < d1; ++i) {
        in[i] = get<T, TAIL>(x + i * p.channels, tail);
        uin[i] = get<T, TAIL>(ux + i * p.channels, tail);
      }
      for (int k = 0; k < d3; ++k) {
        Vec<T> turned = m[k * d1 * chunk] * in[0];
        Vec<T> along = m[k * d1 * chunk] * uin[0] + um[k * d1 * chunk] * in[0];
        for (int i = 1; i < d1; ++i) {
          turned += m[(k * d1 + i) * chunk] * in[i];
          along += m[(k * d1 + i) * chunk] * uin[i];
          along += um[(k * d1 + i) * chunk] * in[i];
        }
        sum[k] += weight * along + uweight * turned;
      }
    }
  }
  for (int k = 0; k < d3; ++k) put<T, TAIL>(p.out + k * p.channels, sum[k], tail);
}

// With h = M^T g and h_u = M_u^T g, for each path:
//   gx[m] += w h_u[m] + w_u h[m],  gweight = sum_m u_x[m] h[m] + x[m] h_u[m],  ugweight = sum_m x[m] h[m]
template <class T, int DIM_IN, bool TAIL>
__attribute__((noinline)) void product_backward_along(const GroupChunk<T>& p, const Direction<T>& u, T* ugweight,
                                                      bool need_x, int tail) {
  const int d1 = DIM_IN ? DIM_IN : p.dim_in;
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim;
  for (int e = 0; e < p.count; ++e) {
    const T *x = p.x[e] + p.x_shift, *ux = u.x[e] + p.x_shift;
    const T *w = p.weight + e * p.weight_row, *uw = u.weight + e * p.weight_row;
    T *gw = p.gweight + e * p.weight_row, *ugw = ugweight + e * p.weight_row;
    Vec<T> gx[n1];
    for (int i = 0; i < d1; ++i)
      gx[i] = need_x ? get<T, TAIL>(p.gx[e] + p.x_shift + i * p.channels, tail) : Vec<T>{};
    for (int q = 0; q < p.num_paths; ++q, w += p.channels, uw += p.channels, gw += p.channels, ugw += p.channels) {
      const Path& path = p.paths[q];
      const T *m = p.matrix + long(path.entry) * chunk + e, *um = u.matrix + long(path.entry) * chunk + e;
      const T* g = p.g + path.out_offset;
      Vec<T> turned[n1], uturned[n1];
      if (path.diagonal) {
        for (int i = 0; i < d1; ++i) {
          const Vec<T> row = get<T, TAIL>(g + i * p.channels, tail);
          turned[i] = m[0] * row;
          uturned[i] = um[0] * row;
        }
      } else {
        for (int i = 0; i < d1; ++i) turned[i] = uturned[i] = Vec<T>{};
        for (int k = 0; k < path.dim_out; ++k, m += d1 * chunk, um += d1 * chunk, g += p.channels) {
          const Vec<T> row = get<T, TAIL>(g, tail);
          for (int i = 0; i < d1; ++i) {
            turned[i] += m[i * chunk] * row;
            uturned[i] += um[i * chunk] * row;
          }
        }
      }
      const Vec<T> weight = get<T, TAIL>(w, tail), uweight = get<T, TAIL>(uw, tail);
      Vec<T> gweight{}, of_direction{};
      for (int i = 0; i < d1; ++i) {
        const Vec<T> in = get<T, TAIL>(x + i * p.channels, tail);
        gweight += turned[i] * get<T, TAIL>(ux + i * p.channels, tail);
        gweight += uturned[i] * in;
        of_direction += turned[i] * in;
        gx[i] += weight * uturned[i];
        gx[i] += uweight * turned[i];
      }
      put<T, TAIL>(gw, gweight, tail);
      put<T, TAIL>(ugw, of_direction, tail);
    }
    if (need_x)
      for (int i = 0; i < d1; ++i) put<T, TAIL>(p.gx[e] + p.x_shift + i * p.channels, gx[i], tail);
  }
}

// Calls f.operator()<DIM_IN, DIM_OUT, DIAGONAL>() with the sizes of a path as constants where they are common,
// and with zeros (sizes known at run time) where they are not.
template <class F>
CYNOSURE_INLINE void with_dims(int dim_in, int dim_out, bool diagonal, F&& f) {
  if (diagonal) {
    switch (dim_in) {
      case 1: return f.template operator()<1, 1, true>();
      case 3: return f.template operator()<3, 3, true>();
      case 5: return f.template operator()<5, 5, true>();
      case 7: return f.template operator()<7, 7, true>();
      default: return f.template operator()<0, 0, true>();
    }
  }
  if (dim_in > 7 || dim_out > 7) return f.template operator()<0, 0, false>();
  switch (dim_in * 8 + dim_out) {
    case 8 + 3: return f.template operator()<1, 3, false>();
    case 8 + 5: return f.template operator()<1, 5, false>();
    case 8 + 7: return f.template operator()<1, 7, false>();
    case 24 + 1: return f.template operator()<3, 1, false>();
    case 24 + 3: return f.template operator()<3, 3, false>();
    case 24 + 5: return f.template operator()<3, 5, false>();
    case 24 + 7: return f.template operator()<3, 7, false>();
    case 40 + 1: return f.template operator()<5, 1, false>();
    case 40 + 3: return f.template operator()<5, 3, false>();
    case 40 + 5: return f.template operator()<5, 5, false>();
    case 40 + 7: return f.template operator()<5, 7, false>();
    case 56 + 1: return f.template operator()<7, 1, false>();
    case 56 + 3: return f.template operator()<7, 3, false>();
    case 56 + 5: return f.template operator()<7, 5, false>();
    case 56 + 7: return f.template operator()<7, 7, false>();
    default: return f.template operator()<0, 0, false>();
  }
}

template <class F>
CYNOSURE_INLINE void with_dim(int dim, F&& f) {
  switch (dim) {
    case 1: return f.template operator()<1>();
    case 3: return f.template operator()<3>();
    case 5: return f.template operator()<5>();
    case 7: return f.template operator()<7>();
    default: return f.template operator()<0>();
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
