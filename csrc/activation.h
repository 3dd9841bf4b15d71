// Gates: scalar functions, and the products of tensors with functions of scalars; with their derivatives.
#pragma once

#include <cmath>
#include <cstdint>

#include "program.h"
#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// exp(x), x held to the range where the result is a normal number. In float32 by vectors: 2^n exp(r) with r in
// [-ln 2 / 2, ln 2 / 2], and the series to degree 7 (next term below 6e-9).
template <class T>
CYNOSURE_INLINE Vec<T> exponential(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    typedef int32_t Integers __attribute__((vector_size(CYNOSURE_VECTOR_BYTES)));
    const Vec<T> low = Vec<T>{} - 87.0f, high = Vec<T>{} + 87.0f;
    x = x < low ? low : x;
    x = x > high ? high : x;
    // Adding 1.5 2^23 rounds to an integer, which the lowest bits then hold.
    const Vec<T> shift = Vec<T>{} + 12582912.0f;
    const Vec<T> shifted = x * 1.44269504088896341f + shift;
    const Vec<T> n = shifted - shift;
    // ln 2 in two parts, the first of them exact in few bits.
    const Vec<T> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Vec<T> p = Vec<T>{} + 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const Integers power = ((Integers)shifted << 23) + 0x3f800000;
    return p * (Vec<T>)power;
  } else {
    T part[lanes<T>];
    std::memcpy(part, &x, sizeof x);
    for (int i = 0; i < lanes<T>; ++i) part[i] = __builtin_exp(part[i]);
    std::memcpy(&x, part, sizeof x);
    return x;
  }
}

// A scalar function with its first and second derivative.
template <class T>
struct Activated {
  Vec<T> value, slope, curvature;
};

template <class T>
CYNOSURE_INLINE Activated<T> activate(Function function, Vec<T> x) {
  const Vec<T> zero{}, one = zero + T(1), two = zero + T(2);
  if (function == Function::identity) return {x, one, zero};
  if (function == Function::over) {
    const Vec<T> value = one / (one + x), square = value * value;
    return {value, -square, two * value * square};
  }
  if (function == Function::tanh) {
    // By exp(-2|x|), which cannot overflow.
    const Vec<T> small = exponential<T>((x < zero ? x : -x) * T(2));
    const Vec<T> size = (one - small) / (one + small), value = x < zero ? -size : size;
    const Vec<T> slope = one - value * value;
    return {value, slope, -two * value * slope};
  }
  const Vec<T> sigmoid = one / (one + exponential<T>(-x)), slope = sigmoid * (one - sigmoid);
  if (function == Function::sigmoid) return {sigmoid, slope, slope * (one - two * sigmoid)};
  return {x * sigmoid, sigmoid + x * slope, slope * (two + x * (one - two * sigmoid))};  // silu
}

// f(first lane, lanes in use or 0 for all) over `count` numbers.
template <class T, class F>
CYNOSURE_INLINE void over_lanes(long count, F&& f) {
  long c = 0;
  for (; c + lanes<T> <= count; c += lanes<T>) f(c, 0);
  if (c < count) f(c, int(count - c));
}

template <class T>
CYNOSURE_INLINE Vec<T> load_lanes(const T* p, int tail) {
  return tail ? load_first<T>(p, tail) : load<T>(p);
}

template <class T>
CYNOSURE_INLINE void store_lanes(T* p, Vec<T> v, int tail) {
  if (tail)
    store_first<T>(p, v, tail);
  else
    store<T>(p, v);
}

// One node: out = factor f(x) for a block of scalars, x factor f(gate) for one of tensors.
template <class T>
void gate_forward(const GateItem<T>& item, const T* in, T* out) {
  over_lanes<T>(item.channels, [&](long c, int tail) __attribute__((always_inline)) {
    const Vec<T> value = activate<T>(item.function, load_lanes<T>(in + item.gate + c, tail)).value * item.factor;
    if (item.scalar) return store_lanes<T>(out + item.out + c, value, tail);
    for (int m = 0; m < item.dim; ++m)
      store_lanes<T>(out + item.out + m * item.channels + c,
                     value * load_lanes<T>(in + item.in + m * item.channels + c, tail), tail);
  });
}

// Writes the derivatives with respect to the blocks of `in` that the item reads.
template <class T>
void gate_backward(const GateItem<T>& item, const T* in, const T* g, T* gin) {
  over_lanes<T>(item.channels, [&](long c, int tail) __attribute__((always_inline)) {
    const auto [value, slope, curvature] = activate<T>(item.function, load_lanes<T>(in + item.gate + c, tail));
    Vec<T> along{};
    if (item.scalar) {
      along = load_lanes<T>(g + item.out + c, tail);
    } else {
      for (int m = 0; m < item.dim; ++m) {
        const long shift = m * item.channels + c;
        const Vec<T> of_out = load_lanes<T>(g + item.out + shift, tail);
        along += of_out * load_lanes<T>(in + item.in + shift, tail);
        store_lanes<T>(gin + item.in + shift, of_out * value * item.factor, tail);
      }
    }
    store_lanes<T>(gin + item.gate + c, along * slope * item.factor, tail);
  });
}

// The derivative of `gate_forward` along u, the direction of `in`.
template <class T>
void gate_along(const GateItem<T>& item, const T* in, const T* u, T* out) {
  over_lanes<T>(item.channels, [&](long c, int tail) __attribute__((always_inline)) {
    const auto [value, slope, curvature] = activate<T>(item.function, load_lanes<T>(in + item.gate + c, tail));
    const Vec<T> turning = slope * load_lanes<T>(u + item.gate + c, tail) * item.factor;
    if (item.scalar) return store_lanes<T>(out + item.out + c, turning, tail);
    for (int m = 0; m < item.dim; ++m) {
      const long shift = m * item.channels + c;
      const Vec<T> of_in = value * item.factor * load_lanes<T>(u + item.in + shift, tail);
      store_lanes<T>(out + item.out + shift, of_in + turning * load_lanes<T>(in + item.in + shift, tail), tail);
    }
  });
}

// Writes to `adjoint_in` the derivatives with respect to `in` of  <adjoint, gate_forward(in)> + <g, gate_along(in, u)>.
template <class T>
void gate_second(const GateItem<T>& item, const T* in, const T* u, const T* g, const T* adjoint, T* adjoint_in) {
  over_lanes<T>(item.channels, [&](long c, int tail) __attribute__((always_inline)) {
    const auto [value, slope, curvature] = activate<T>(item.function, load_lanes<T>(in + item.gate + c, tail));
    const Vec<T> ugate = load_lanes<T>(u + item.gate + c, tail);
    Vec<T> of_slope{}, of_curvature{};
    if (item.scalar) {
      of_slope = load_lanes<T>(adjoint + item.out + c, tail);
      of_curvature = load_lanes<T>(g + item.out + c, tail);
    } else {
      for (int m = 0; m < item.dim; ++m) {
        const long shift = m * item.channels + c;
        const Vec<T> x = load_lanes<T>(in + item.in + shift, tail), ux = load_lanes<T>(u + item.in + shift, tail);
        const Vec<T> a = load_lanes<T>(adjoint + item.out + shift, tail);
        const Vec<T> b = load_lanes<T>(g + item.out + shift, tail);
        of_slope += a * x + b * ux;
        of_curvature += b * x;
        store_lanes<T>(adjoint_in + item.in + shift, (a * value + b * slope * ugate) * item.factor, tail);
      }
    }
    store_lanes<T>(adjoint_in + item.gate + c, (of_slope * slope + of_curvature * curvature * ugate) * item.factor,
                   tail);
  });
}

// y = factor f(x) and its derivative along u, factor f'(x) u, for `count` numbers.
template <class T>
void activation_along(Function function, double factor, long count, const T* x, const T* u, T* y, T* uy) {
  over_lanes<T>(count, [&](long c, int tail) __attribute__((always_inline)) {
    const auto [value, slope, curvature] = activate<T>(function, load_lanes<T>(x + c, tail));
    store_lanes<T>(y + c, value * T(factor), tail);
    store_lanes<T>(uy + c, slope * load_lanes<T>(u + c, tail) * T(factor), tail);
  });
}

// The derivatives with respect to x and u of  <g, y> + <ug, uy>.
template <class T>
void activation_along_backward(Function function, double factor, long count, const T* x, const T* u, const T* g,
                               const T* ug, T* gx, T* gu) {
  over_lanes<T>(count, [&](long c, int tail) __attribute__((always_inline)) {
    const auto [value, slope, curvature] = activate<T>(function, load_lanes<T>(x + c, tail));
    const Vec<T> along = load_lanes<T>(ug + c, tail) * T(factor);
    const Vec<T> of_value = load_lanes<T>(g + c, tail) * T(factor);
    store_lanes<T>(gx + c, of_value * slope + along * curvature * load_lanes<T>(u + c, tail), tail);
    store_lanes<T>(gu + c, along * slope, tail);
  });
}

}  // namespace cynosure::CYNOSURE_ISA
