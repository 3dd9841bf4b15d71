// Real spherical harmonics of all degrees 0 ... lmax, with first and second derivatives; lanes are vectors.
//
// Component normalisation, polar axis y. With the solid harmonics |r|^l Y_l(r/|r|) = S_l,m, cosines A for m >= 0 and
// sines B for -m < 0,
//
//   S_lm = q_lm(y, r^2) A_m or B_m,   A_m + i B_m = (z + i x)^m,
//   q_lm = up1 y q_l-1,m - up2 r^2 q_l-2,m,   q_mm = N_mm.
//
// A derivative of a solid harmonic is a combination of those one degree lower, at most two of them:
//
//   d/dy S_lm  = below S_l-1,m
//   d/dz A_lm  =  inner A_l-1,m-1 - outer A_l-1,m+1      d/dz B_lm = inner B_l-1,m-1 - outer B_l-1,m+1
//   d/dx A_lm  = -inner B_l-1,m-1 - outer B_l-1,m+1      d/dx B_lm = inner A_l-1,m-1 + outer A_l-1,m+1
//
// (A_lm here is the whole S_lm of the cosine.) So the derivative along u of sum g S is such a sum again, of degree
// lmax - 1, whose coefficients `lowered` finds; its gradient is the second derivative. With `normalize` the harmonics
// are those of the direction n = r/|r|, and the chain rule goes through dn/dr = (1 - n n^T)/|r|.
#pragma once

#include <limits>
#include <utility>

#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// The largest degree of the loops whose degree is known at run time (src/cynosure/kernels/harmonics.py).
constexpr int max_degree = 12;

constexpr int harmonics_dim(int lmax) { return (lmax + 1) * (lmax + 1); }

namespace harmonic_numbers {

constexpr double square_root(double square) {
  if (square == 0) return 0;
  double root = square > 1 ? square : 1;
  for (int i = 0; i < 200; ++i) {
    const double next = 0.5 * (root + square / root);
    if (next >= root) break;
    root = next;
  }
  return root;
}

// Where the numbers of degree l and order m stand, orders 0 ... l.
constexpr int at(int l, int m) { return l * (l + 1) / 2 + m; }

template <class T>
struct Table {
  static constexpr int size = at(max_degree, max_degree) + 1;
  T first[max_degree + 1]{};  // q_mm
  T up1[size]{}, up2[size]{}, below[size]{}, inner[size]{}, outer[size]{};

  constexpr Table() {
    // N_lm: the factor from the polynomial that leads with y^(l-m) to component normalisation.
    double norm[size]{};
    double of_zero = 1;
    for (int l = 0; l <= max_degree; ++l) {
      if (l) of_zero *= (2.0 * l + 1) * (2.0 * l - 1) / (double(l) * l);
      double square = of_zero;
      for (int m = 0; m <= l; ++m) {
        norm[at(l, m)] = square_root(square);
        square *= (m ? 1.0 : 2.0) * (l - m) / (l + m + 1);
      }
    }
    for (int l = 0; l <= max_degree; ++l) {
      first[l] = T(norm[at(l, l)]);
      const double odd = 2 * l - 1;
      for (int m = 0; m < l; ++m) {
        const double ratio = norm[at(l, m)] / norm[at(l - 1, m)];
        up1[at(l, m)] = T(ratio);
        below[at(l, m)] = T(ratio * (l * l - m * m) / odd);
        if (m < l - 1) {
          up2[at(l, m)] = T(norm[at(l, m)] / norm[at(l - 2, m)] * ((l - 1) * (l - 1) - m * m) / (odd * (2 * l - 3)));
          outer[at(l, m)] = T((m ? 0.5 : 1.0) * norm[at(l, m)] / norm[at(l - 1, m + 1)] * (l - m) * (l - m - 1) / odd);
        }
      }
      for (int m = 1; m <= l; ++m)
        inner[at(l, m)] = T(0.5 * norm[at(l, m)] / norm[at(l - 1, m - 1)] * (l + m) * (l + m - 1) / odd);
    }
  }
};

template <class T>
inline constexpr Table<T> table{};

}  // namespace harmonic_numbers

// f(from) ... f(to), the numbers as compile-time constants where UNROLLED, so that arrays stay in registers.
template <bool UNROLLED, int FROM, int TO, class F>
CYNOSURE_INLINE void repeat(int from, int to, F&& f) {
  if constexpr (UNROLLED)
    [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
      (f(std::integral_constant<int, FROM + I>{}), ...);
    }(std::make_integer_sequence<int, (TO >= FROM ? TO - FROM + 1 : 0)>{});
  else
    for (int i = from; i <= to; ++i) f(i);
}

template <class T>
struct Vec3 {
  Vec<T> x, y, z;
};

template <class T>
CYNOSURE_INLINE Vec<T> dot(const Vec3<T>& a, const Vec3<T>& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <class T>
CYNOSURE_INLINE Vec3<T> scaled(const Vec3<T>& a, Vec<T> factor) {
  return {a.x * factor, a.y * factor, a.z * factor};
}

// The sums that follow, for all degrees up to LMAX, or up to `lmax` where LMAX is negative.
template <class T, int LMAX>
struct Harmonics {
  static constexpr bool fixed = LMAX >= 0;
  static constexpr int most = fixed ? LMAX : max_degree;
  static constexpr int size = harmonics_dim(most);
  static constexpr auto& number = harmonic_numbers::table<T>;

  static CYNOSURE_INLINE int degree(int lmax) { return fixed ? LMAX : lmax; }
  static CYNOSURE_INLINE int dim(int lmax) { return harmonics_dim(degree(lmax)); }

  static CYNOSURE_INLINE void solid(int lmax, const Vec3<T>& r, Vec<T>* s) {
    lmax = degree(lmax);
    const Vec<T> squares = dot(r, r);
    Vec<T> cosine = Vec<T>{} + T(1), sine{};
    repeat<fixed, 0, most>(0, lmax, [&](auto m) __attribute__((always_inline)) {
      if (m == 1) {
        cosine = r.z;
        sine = r.x;
      } else if (m > 1) {
        const Vec<T> before = cosine;
        cosine = r.z * cosine - r.x * sine;
        sine = r.x * before + r.z * sine;
      }
      Vec<T> polar = Vec<T>{} + number.first[m], two_below{};
      repeat<fixed, 0, most>(m, lmax, [&](auto l) __attribute__((always_inline)) {
        if (l < m) return;
        const int here = l * l + l;
        if (l > m) {
          const int k = harmonic_numbers::at(l, m);
          const Vec<T> below = polar;
          polar = number.up1[k] * r.y * polar;
          if (l > m + 1) polar -= number.up2[k] * squares * two_below;
          two_below = below;
        }
        s[here + m] = m ? polar * cosine : polar;
        if (m) s[here - m] = polar * sine;
      });
    });
  }

  // f(component, its derivatives) for every component of degree l >= 1 and order +-m.
  template <class M, class F>
  static CYNOSURE_INLINE void derivatives(int l, M m, const Vec<T>* s, F&& f) {
    const int k = harmonic_numbers::at(l, m);
    const int here = l * l + l;
    const Vec<T>* a = s + (l - 1) * (l - 1) + l - 1;
    const T below = number.below[k], inner = number.inner[k], outer = number.outer[k];
    const bool further = m + 1 < l;
    Vec3<T> of_cosine{}, of_sine{};
    if (m < l) of_cosine.y = below * a[m];
    if (m == 0) {
      if (further) {
        of_cosine.x = -outer * a[-1];
        of_cosine.z = -outer * a[1];
      }
      f(here, of_cosine);
      return;
    }
    if (m < l) of_sine.y = below * a[-m];
    of_cosine.z = of_sine.x = inner * a[m - 1];
    if (m > 1) {
      of_sine.z = inner * a[1 - m];
      of_cosine.x = -of_sine.z;
    }
    if (further) {
      const Vec<T> cosine = outer * a[m + 1], sine = outer * a[-m - 1];
      of_cosine.z -= cosine;
      of_cosine.x -= sine;
      of_sine.z -= sine;
      of_sine.x += cosine;
    }
    f(here + m, of_cosine);
    f(here - m, of_sine);
  }

  template <class F>
  static CYNOSURE_INLINE void all_derivatives(int lmax, const Vec<T>* s, F&& f) {
    lmax = degree(lmax);
    repeat<fixed, 1, most>(1, lmax, [&](auto l) __attribute__((always_inline)) {
      repeat<fixed, 0, most>(0, l, [&](auto m) __attribute__((always_inline)) {
        if (m <= l) derivatives(l, m, s, f);
      });
    });
  }

  // sum g_i grad S_i
  static CYNOSURE_INLINE Vec3<T> gradient(int lmax, const Vec<T>* s, const Vec<T>* g) {
    Vec3<T> sum{};
    all_derivatives(lmax, s, [&](int i, const Vec3<T>& d) __attribute__((always_inline)) {
      sum.x += g[i] * d.x;
      sum.y += g[i] * d.y;
      sum.z += g[i] * d.z;
    });
    return sum;
  }

  // The coefficients, up to degree lmax - 1, of the derivative of sum g_i S_i along u.
  static CYNOSURE_INLINE void lowered(int lmax, const Vec<T>* g, const Vec3<T>& u, Vec<T>* out) {
    lmax = degree(lmax);
    repeat<fixed, 0, harmonics_dim(most - 1) - 1>(0, harmonics_dim(lmax - 1) - 1,
                                                  [&](auto i) __attribute__((always_inline)) { out[i] = Vec<T>{}; });
    repeat<fixed, 1, most>(1, lmax, [&](auto l) __attribute__((always_inline)) {
      repeat<fixed, 0, most>(0, l, [&](auto m) __attribute__((always_inline)) {
        if (m > l) return;
        const int k = harmonic_numbers::at(l, m);
        const T below = number.below[k], inner = number.inner[k], outer = number.outer[k];
        const Vec<T> cosine = g[l * l + l + m], sine = g[l * l + l - m];
        Vec<T>* a = out + (l - 1) * (l - 1) + l - 1;
        const bool further = m + 1 < l;
        if (m < l) a[m] += below * u.y * cosine;
        if (m == 0) {
          if (further) {
            a[1] -= outer * u.z * cosine;
            a[-1] -= outer * u.x * cosine;
          }
          return;
        }
        if (m < l) a[-m] += below * u.y * sine;
        a[m - 1] += inner * (u.z * cosine + u.x * sine);
        if (m > 1) a[1 - m] += inner * (u.z * sine - u.x * cosine);
        if (further) {
          a[m + 1] += outer * (u.x * sine - u.z * cosine);
          a[-m - 1] -= outer * (u.x * cosine + u.z * sine);
        }
      });
    });
  }
};

// 1/sqrt, exact to rounding.
template <class T>
CYNOSURE_INLINE Vec<T> inverse_root(Vec<T> v) {
  T part[lanes<T>];
  std::memcpy(part, &v, sizeof v);
  for (int i = 0; i < lanes<T>; ++i) {
    if constexpr (sizeof(T) == 4)
      part[i] = __builtin_sqrtf(part[i]);
    else
      part[i] = __builtin_sqrt(part[i]);
  }
  std::memcpy(&v, part, sizeof v);
  return T(1) / v;
}

constexpr double power_of_two_root(int exponent) {
  double root = 1;
  for (int i = 0; i > exponent; i -= 2) root *= 0.5;
  return root;
}

// Direction and inverse length, zero for a zero vector (shorter than what o3/spherical_harmonics.py calls zero). The
// vector is first scaled by its largest component, so that no square leaves the range of floats; what the scale
// loses to rounding cancels.
template <class T>
struct UnitVector {
  Vec3<T> n;
  Vec<T> inverse_length;

  explicit CYNOSURE_INLINE UnitVector(const Vec3<T>& r) {
    const Vec<T> zero{}, one = zero + T(1);
    // 2^10 sqrt(smallest normal number), an even power of two in both precisions.
    constexpr T smallest = T(1024 * power_of_two_root(std::numeric_limits<T>::min_exponent - 1));
    const Vec<T> x = r.x < zero ? -r.x : r.x, y = r.y < zero ? -r.y : r.y, z = r.z < zero ? -r.z : r.z;
    const Vec<T> limit = zero + smallest;
    Vec<T> largest = x > y ? x : y;
    largest = largest > z ? largest : z;
    // By `and`, not by the largest: a NaN among them must not be lost.
    const auto is_zero = (x <= limit) & (y <= limit) & (z <= limit);
    const Vec<T> scale = is_zero ? zero : one / largest;
    const Vec3<T> s = {is_zero ? zero : r.x * scale, is_zero ? zero : r.y * scale, is_zero ? zero : r.z * scale};
    const Vec<T> square = dot(s, s);
    const Vec<T> root = inverse_root<T>(is_zero ? one : square);
    n = scaled(s, root);
    inverse_length = root * scale;
  }
};

// a without its part along n, times a factor.
template <class T>
CYNOSURE_INLINE Vec3<T> across(const Vec3<T>& n, const Vec3<T>& a, Vec<T> factor) {
  const Vec<T> along = dot(n, a);
  return {(a.x - along * n.x) * factor, (a.y - along * n.y) * factor, (a.z - along * n.z) * factor};
}

// --- Between rows in memory and lanes ---------------------------------------------------------------------------

template <class T, int STRIDE, int... J>
CYNOSURE_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, J...>) {
  constexpr int width = lanes<T>;
  const Vec<T> low = __builtin_shufflevector(a, b, (J & STRIDE ? width + J - STRIDE : J)...);
  b = __builtin_shufflevector(a, b, (J & STRIDE ? width + J : J + STRIDE)...);
  a = low;
}

template <class T, int STRIDE>
CYNOSURE_INLINE void exchange_rows(Vec<T>* r) {
  repeat<true, 0, lanes<T> - 1>(0, 0, [&](auto i) __attribute__((always_inline)) {
    if constexpr (!(decltype(i)::value & STRIDE))
      exchange<T, STRIDE>(r[i], r[i + STRIDE], std::make_integer_sequence<int, lanes<T>>{});
  });
}

// A square of lanes x lanes numbers, in registers.
template <class T>
CYNOSURE_INLINE void transpose(Vec<T>* r) {
  if constexpr (lanes<T> > 8) exchange_rows<T, 8>(r);
  if constexpr (lanes<T> > 4) exchange_rows<T, 4>(r);
  if constexpr (lanes<T> > 2) exchange_rows<T, 2>(r);
  exchange_rows<T, 1>(r);
}

// The columns that a square starts at: the last one ends with the row, and may overlap the one before.
CYNOSURE_INLINE int square_start(int start, int width, int dim) {
  return start + width <= dim || dim < width ? start : dim - width;
}

// columns[c] lane i = rows[i * dim + c], for `lanes` rows.
template <class T, int DIM>
CYNOSURE_INLINE void full_rows_to_lanes(const T* rows, int dim, Vec<T>* columns) {
  constexpr int width = lanes<T>;
  constexpr bool fixed = DIM > 0;
  if (fixed) dim = DIM;
  if (dim == 1) {
    columns[0] = load<T>(rows);
    return;
  }
  repeat<fixed, 0, (fixed ? DIM - 1 : 0) / width>(0, (dim - 1) / width, [&](auto square) __attribute__((always_inline)) {
    const int c = square_start(square * width, width, dim);
    Vec<T> r[width];
    repeat<true, 0, width - 1>(0, 0, [&](auto i) __attribute__((always_inline)) {
      // Where a row is shorter than a vector, the last ones must not read past the end.
      r[i] = i * dim + c + width <= width * dim ? load<T>(rows + i * dim + c) : load_first<T>(rows + i * dim + c, dim);
    });
    transpose<T>(r);
    repeat<true, 0, width - 1>(0, 0, [&](auto i) __attribute__((always_inline)) {
      if (c + i < dim) columns[c + i] = r[i];
    });
  });
}

// The way back.
template <class T, int DIM>
CYNOSURE_INLINE void full_lanes_to_rows(const Vec<T>* columns, int dim, T* rows) {
  constexpr int width = lanes<T>;
  constexpr bool fixed = DIM > 0;
  if (fixed) dim = DIM;
  if (dim == 1) {
    store<T>(rows, columns[0]);
    return;
  }
  repeat<fixed, 0, (fixed ? DIM - 1 : 0) / width>(0, (dim - 1) / width, [&](auto square) __attribute__((always_inline)) {
    const int c = square_start(square * width, width, dim);
    Vec<T> r[width];
    repeat<true, 0, width - 1>(0, 0, [&](auto i) __attribute__((always_inline)) {
      r[i] = c + i < dim ? columns[c + i] : Vec<T>{};
    });
    transpose<T>(r);
    repeat<true, 0, width - 1>(0, 0, [&](auto i) __attribute__((always_inline)) {
      // A row shorter than a vector runs over into the next, which is written after it.
      if (i * dim + c + width <= width * dim)
        store<T>(rows + i * dim + c, r[i]);
      else
        store_first<T>(rows + i * dim + c, r[i], dim);
    });
  });
}

// The same for the last vectors, fewer than lanes; what is missing is zero.
template <class T, int DIM>
CYNOSURE_INLINE void rows_to_lanes(const T* rows, int dim, int number, Vec<T>* columns) {
  if (number == lanes<T>) return full_rows_to_lanes<T, DIM>(rows, dim, columns);
  T part[(DIM > 0 ? DIM : harmonics_dim(max_degree)) * lanes<T>]{};
  std::memcpy(part, rows, sizeof(T) * number * dim);
  full_rows_to_lanes<T, DIM>(part, dim, columns);
}

template <class T, int DIM>
CYNOSURE_INLINE void lanes_to_rows(const Vec<T>* columns, int dim, int number, T* rows) {
  if (number == lanes<T>) return full_lanes_to_rows<T, DIM>(columns, dim, rows);
  T part[(DIM > 0 ? DIM : harmonics_dim(max_degree)) * lanes<T>];
  full_lanes_to_rows<T, DIM>(columns, dim, part);
  std::memcpy(rows, part, sizeof(T) * number * dim);
}

// Rows of three are too short for squares: component C of vector j is number 3 j + C of three vectors in memory.
template <class T, int C, int... J>
CYNOSURE_INLINE Vec<T> third(Vec<T> a, Vec<T> b, Vec<T> c, std::integer_sequence<int, J...>) {
  constexpr int width = lanes<T>;
  const Vec<T> ab = __builtin_shufflevector(a, b, (3 * J + C < 2 * width ? 3 * J + C : 0)...);
  return __builtin_shufflevector(ab, c, (3 * J + C < 2 * width ? J : 3 * J + C - width)...);
}

template <class T, int PART, int... J>
CYNOSURE_INLINE Vec<T> woven(const Vec3<T>& v, std::integer_sequence<int, J...>) {
  constexpr int width = lanes<T>, from = PART * width;
  const Vec<T> xy =
      __builtin_shufflevector(v.x, v.y, ((from + J) % 3 == 1 ? width + (from + J) / 3 : (from + J) / 3)...);
  return __builtin_shufflevector(xy, v.z, ((from + J) % 3 == 2 ? width + (from + J) / 3 : J)...);
}

template <class T>
CYNOSURE_INLINE Vec3<T> load3(const T* rows, int number) {
  constexpr int width = lanes<T>;
  constexpr auto each = std::make_integer_sequence<int, width>{};
  T part[3 * width];
  if (number < width) {
    std::memset(part, 0, sizeof part);
    std::memcpy(part, rows, sizeof(T) * 3 * number);
    rows = part;
  }
  const Vec<T> a = load<T>(rows), b = load<T>(rows + width), c = load<T>(rows + 2 * width);
  return {third<T, 0>(a, b, c, each), third<T, 1>(a, b, c, each), third<T, 2>(a, b, c, each)};
}

template <class T>
CYNOSURE_INLINE void store3(const Vec3<T>& v, int number, T* rows) {
  constexpr int width = lanes<T>;
  constexpr auto each = std::make_integer_sequence<int, width>{};
  T part[3 * width];
  T* to = number < width ? part : rows;
  store<T>(to, woven<T, 0>(v, each));
  store<T>(to + width, woven<T, 1>(v, each));
  store<T>(to + 2 * width, woven<T, 2>(v, each));
  if (number < width) std::memcpy(rows, part, sizeof(T) * 3 * number);
}

// --- The kernels --------------------------------------------------------------------------------------------------

// f(first vector, how many) over blocks of `lanes` vectors; on one thread where there are few.
template <class T, class F>
CYNOSURE_INLINE void over_blocks(long count, int threads, F&& f) {
  constexpr long width = lanes<T>;
  const long blocks = (count + width - 1) / width;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1 && count >= 4096)
  for (long block = 0; block < blocks; ++block) {
    const long rest = count - block * width;
    f(block * width, int(rest < width ? rest : width));
  }
}

template <class F>
CYNOSURE_INLINE void with_degree(int lmax, F&& f) {
  switch (lmax) {
    case 0: return f.template operator()<0>();
    case 1: return f.template operator()<1>();
    case 2: return f.template operator()<2>();
    case 3: return f.template operator()<3>();
    case 4: return f.template operator()<4>();
    default: return f.template operator()<-1>();
  }
}

// Rows of y, [count, dim], are those of the vectors, [count, 3].
template <class T, int LMAX>
void harmonics_forward_of(int lmax, bool normalize, long count, const T* vectors, T* y, int threads) {
  using H = Harmonics<T, LMAX>;
  constexpr int fixed_dim = H::fixed ? H::size : 0;
  const int dim = H::dim(lmax);
  over_blocks<T>(count, threads, [&](long first, int number) __attribute__((always_inline)) {
    Vec3<T> r = load3(vectors + 3 * first, number);
    if (normalize) r = UnitVector<T>(r).n;
    Vec<T> s[H::size];
    H::solid(lmax, r, s);
    lanes_to_rows<T, fixed_dim>(s, dim, number, y + first * dim);
  });
}

// gv[n] = sum_i gy[n, i] dY_i/dv[n]
template <class T, int LMAX>
void harmonics_backward_of(int lmax, bool normalize, long count, const T* vectors, const T* gy, T* gv, int threads) {
  using H = Harmonics<T, LMAX>;
  constexpr int fixed_dim = H::fixed ? H::size : 0;
  const int dim = H::dim(lmax);
  over_blocks<T>(count, threads, [&](long first, int number) __attribute__((always_inline)) {
    Vec3<T> r = load3(vectors + 3 * first, number);
    Vec<T> inverse_length{};
    if (normalize) {
      const UnitVector<T> direction(r);
      r = direction.n;
      inverse_length = direction.inverse_length;
    }
    Vec<T> s[H::size], g[H::size];
    rows_to_lanes<T, fixed_dim>(gy + first * dim, dim, number, g);
    H::solid(lmax, r, s);
    Vec3<T> result = H::gradient(lmax, s, g);
    if (normalize) result = across(r, result, inverse_length);
    store3(result, number, gv + 3 * first);
  });
}

// The derivatives of sum_n u[n] . gv[n] with respect to gy and, where d_v is not null, to the vectors.
//
// 1. u becomes t = dn along u. Then u . gv = sum_i gy_i (t . grad S_i)(n), which gives d_gy.
// 2. The derivative of sum gy_i S_i along t is a sum of lower degree; its gradient is the Hessian times t.
// 3. With P = 1 - n n^T and G = sum gy_i grad S_i, gv = P G / |r| changes along u by
//    (P Hessian t - t (n . G) - n (t . G) - (n . u) gv) / |r|.
template <class T, int LMAX>
void harmonics_second_of(int lmax, bool normalize, long count, const T* vectors, const T* gy, const T* u, T* d_gy,
                         T* d_v, int threads) {
  using H = Harmonics<T, LMAX>;
  using Lower = Harmonics<T, (LMAX > 0 ? LMAX - 1 : LMAX)>;
  constexpr int fixed_dim = H::fixed ? H::size : 0;
  const int dim = H::dim(lmax);
  over_blocks<T>(count, threads, [&](long first, int number) __attribute__((always_inline)) {
    Vec3<T> r = load3(vectors + 3 * first, number);
    Vec3<T> t = load3(u + 3 * first, number);
    Vec<T> inverse_length{}, along{};
    if (normalize) {
      const UnitVector<T> direction(r);
      r = direction.n;
      inverse_length = direction.inverse_length;
      along = dot(r, t);
      t = across(r, t, inverse_length);
    }
    Vec<T> s[H::size], out[H::size];
    H::solid(lmax, r, s);
    out[0] = Vec<T>{};
    H::all_derivatives(lmax, s, [&](int i, const Vec3<T>& d) __attribute__((always_inline)) { out[i] = dot(t, d); });
    lanes_to_rows<T, fixed_dim>(out, dim, number, d_gy + first * dim);
    if (!d_v) return;
    Vec<T> g[H::size];
    rows_to_lanes<T, fixed_dim>(gy + first * dim, dim, number, g);
    Vec3<T> result{};
    if (H::degree(lmax) > 0) {
      H::lowered(lmax, g, t, out);
      result = Lower::gradient(lmax - 1, s, out);
    }
    if (normalize) {
      const Vec3<T> of_direction = H::gradient(lmax, s, g);
      const Vec3<T> gv = across(r, of_direction, inverse_length);
      result = across(r, result, Vec<T>{} + T(1));
      const Vec<T> radial = dot(r, of_direction), turning = dot(t, of_direction);
      result.x -= radial * t.x + turning * r.x + along * gv.x;
      result.y -= radial * t.y + turning * r.y + along * gv.y;
      result.z -= radial * t.z + turning * r.z + along * gv.z;
      result = scaled(result, inverse_length);
    }
    store3(result, number, d_v + 3 * first);
  });
}

template <class T>
void harmonics_forward(int lmax, bool normalize, long count, const T* vectors, T* y, int threads) {
  with_degree(lmax, [&]<int L>() { harmonics_forward_of<T, L>(lmax, normalize, count, vectors, y, threads); });
}

template <class T>
void harmonics_backward(int lmax, bool normalize, long count, const T* vectors, const T* gy, T* gv, int threads) {
  with_degree(lmax, [&]<int L>() { harmonics_backward_of<T, L>(lmax, normalize, count, vectors, gy, gv, threads); });
}

template <class T>
void harmonics_second(int lmax, bool normalize, long count, const T* vectors, const T* gy, const T* u, T* d_gy, T* d_v,
                      int threads) {
  with_degree(lmax,
              [&]<int L>() { harmonics_second_of<T, L>(lmax, normalize, count, vectors, gy, u, d_gy, d_v, threads); });
}

}  // namespace cynosure::CYNOSURE_ISA
