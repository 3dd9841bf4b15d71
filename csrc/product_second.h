// The inner loops of a second derivative: what product.h computes, differentiated along a direction u.
#pragma once

#include "product.h"

namespace cynosure::CYNOSURE_ISA {

// What a second derivative works on besides: the direction u, in the same places as what it belongs to.
template <class T>
struct Direction {
  const T* const* x;  // [edge] rows of u_x
  const T* matrix;    // M of u_Y
  const T* weight;    // u_R W
};

// out[k] += sum over edges of w (M u_x + M_u x)[k] + w_u (M x)[k], the derivative of out along u
template <class T, class SHAPE, bool TAIL>
__attribute__((noinline)) void product_along(const PathChunk<T>& p, const Direction<T>& u, int tail) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : p.dim_out;
  const long row = p.channels;
  Vec<T> sum[SHAPE::n3];
  each<N3>(d3, [&](auto k) CYNOSURE_INLINED { sum[k] = p.first ? Vec<T>{} : get<T, TAIL>(p.out + k * row, tail); });
  for (int e = 0; e < p.count; ++e) {
    const T *x = p.x[e] + p.x_shift, *ux = u.x[e] + p.x_shift;
    const T *m = p.matrix + e, *um = u.matrix + e;
    const Vec<T> weight = get<T, TAIL>(p.weight + e * p.weight_row, tail);
    const Vec<T> uweight = get<T, TAIL>(u.weight + e * p.weight_row, tail);
    if constexpr (SHAPE::DIAGONAL) {
      const Vec<T> of_x = um[0] * weight + m[0] * uweight, of_ux = m[0] * weight;
      each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
        sum[k] += of_x * get<T, TAIL>(x + k * row, tail) + of_ux * get<T, TAIL>(ux + k * row, tail);
      });
    } else {
      Vec<T> in[SHAPE::n1], uin[SHAPE::n1];
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
        in[i] = kept(get<T, TAIL>(x + i * row, tail));
        uin[i] = kept(get<T, TAIL>(ux + i * row, tail));
      });
      each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
        Vec<T> turned{}, along{};
        each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
          if (!SHAPE::has(k, i)) return;
          const long element = (k * d1 + i) * chunk;
          turned += m[element] * in[i];
          along += m[element] * uin[i];
          along += um[element] * in[i];
        });
        sum[k] += weight * along + uweight * turned;
      });
    }
  }
  each<N3>(d3, [&](auto k) CYNOSURE_INLINED { put<T, TAIL>(p.out + k * row, sum[k], tail); });
}

// With h = M^T g and h_u = M_u^T g for one path and one edge:
//   gx[m] += w h_u[m] + w_u h[m],  gweight = sum_m u_x[m] h[m] + x[m] h_u[m],  ugweight = sum_m x[m] h[m]
// Where there is a further derivative g_more of out itself, h_u is M_u^T g + M^T g_more.
template <class T, class SHAPE, bool TAIL>
CYNOSURE_INLINE void path_backward_along(const GroupChunk<T>& p, const Path& path, const T* x, const T* ux, const T* m,
                                         const T* um, const T* w, const T* uw, T* gw, T* ugw, Vec<T>* gx, int tail) {
  constexpr int N1 = SHAPE::IN, N3 = SHAPE::OUT;
  const int d1 = N1 ? N1 : p.dim_in, d3 = N3 ? N3 : path.dim_out;
  const long row = p.channels;
  const T* g = p.g + path.out_offset;
  loads_begin();
  Vec<T> turned[SHAPE::n1], uturned[SHAPE::n1];
  each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
    if constexpr (SHAPE::DIAGONAL) {
      const Vec<T> of_out = kept(get<T, TAIL>(g + i * row, tail));
      turned[i] = m[0] * of_out;
      uturned[i] = um[0] * of_out;
    } else {
      turned[i] = uturned[i] = Vec<T>{};
    }
  });
  if constexpr (!SHAPE::DIAGONAL)
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      const Vec<T> of_out = kept(get<T, TAIL>(g + k * row, tail));
      each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
        if (!SHAPE::has(k, i)) return;
        turned[i] += m[(k * d1 + i) * chunk] * of_out;
        uturned[i] += um[(k * d1 + i) * chunk] * of_out;
      });
    });
  if (p.g_more) {
    const T* more = p.g_more + path.out_offset;
    each<N3>(d3, [&](auto k) CYNOSURE_INLINED {
      const Vec<T> of_out = get<T, TAIL>(more + k * row, tail);
      if constexpr (SHAPE::DIAGONAL)
        uturned[k] += m[0] * of_out;
      else
        each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
          if (SHAPE::has(k, i)) uturned[i] += m[(k * d1 + i) * chunk] * of_out;
        });
    });
  }
  const Vec<T> weight = kept(get<T, TAIL>(w, tail)), uweight = kept(get<T, TAIL>(uw, tail));
  Vec<T> gweight{}, of_direction{};
  each<N1>(d1, [&](auto i) CYNOSURE_INLINED {
    const Vec<T> in = kept(get<T, TAIL>(x + i * row, tail));
    gweight += turned[i] * get<T, TAIL>(ux + i * row, tail);
    gweight += uturned[i] * in;
    of_direction += turned[i] * in;
    gx[i] += weight * uturned[i];
    gx[i] += uweight * turned[i];
  });
  put<T, TAIL>(gw, gweight, tail);
  put<T, TAIL>(ugw, of_direction, tail);
}

// The same for all edges and paths of a group; the sums over paths stay in registers.
template <class T, int DIM_IN, bool TAIL>
__attribute__((noinline)) void product_backward_along(const GroupChunk<T>& group, const Direction<T>& u, T* ugweight,
                                                      int tail) {
  const GroupChunk<T> p = group;  // (A copy: no store can change it.)
  constexpr int n1 = DIM_IN ? DIM_IN : max_dim;
  for (int e = 0; e < p.count; ++e) {
    const T *x = p.x[e] + p.x_shift, *ux = u.x[e] + p.x_shift;
    T* to = p.gx[e] + p.x_shift;
    Vec<T> gx[n1];
    each<DIM_IN>(p.dim_in, [&](auto i) CYNOSURE_INLINED {
      gx[i] = p.need_x ? get<T, TAIL>(to + i * p.channels, tail) : Vec<T>{};
    });
    long at = e * p.weight_row;
    for (int q = 0; q < p.num_paths; ++q, at += p.channels) {
      const Path& path = p.paths[q];
      const long entry = long(path.entry) * chunk + e;
      with_shape<DIM_IN>(path, [&]<class SHAPE>() CYNOSURE_INLINED {
        path_backward_along<T, SHAPE, TAIL>(p, path, x, ux, p.matrix + entry, u.matrix + entry, p.weight + at,
                                            u.weight + at, p.gweight + at, ugweight + at, gx, tail);
      });
    }
    if (p.need_x)
      each<DIM_IN>(p.dim_in, [&](auto i) CYNOSURE_INLINED { put<T, TAIL>(to + i * p.channels, gx[i], tail); });
  }
}

}  // namespace cynosure::CYNOSURE_ISA
