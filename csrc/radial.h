// The radial functions of training: a basis of the distance, and a small network that mixes it, with their slopes; and
// the derivatives with respect to the network's weights. Inference has polynomials in their place (polynomials.h).
#pragma once

#include <cmath>

#include "activation.h"
#include "gemm.h"
#include "program.h"
#include "sharing.h"

namespace cynosure::CYNOSURE_ISA {

// Edges that go through a radial network together.
constexpr int tile_edges = 48;

// sin(x)/x and its derivative.
struct Sinc {
  double value, slope;

  Sinc(double x, double sine, double cosine) {
    if (x > 0.25) {
      value = sine / x;
      slope = (cosine - value) / x;
      return;
    }
    // Series, whose next terms are below 1e-16 of the whole.
    const double y = x * x;
    value = 1 - y / 6 * (1 - y / 20 * (1 - y / 42 * (1 - y / 72 * (1 - y / 110))));
    slope = -x / 3 * (1 - y / 10 * (1 - y / 28 * (1 - y / 54 * (1 - y / 88 * (1 - y / 130)))));
  }
};

// values[n], slopes[n] = the basis at a distance and its derivative; nn.RadialBasis has the formulas. Products with
// Chebyshev polynomials of the second kind, U_n+1 = 2 c U_n - U_n-1, stand for the sines of multiples.
template <class T>
inline void radial_basis(const RadialBasis& basis, double distance, T* values, T* slopes) {
  const double x = distance / basis.cutoff;
  if (!(x < 1)) {
    for (int n = 0; n < basis.number; ++n) values[n] = slopes[n] = T(0);
    return;
  }
  const double p = basis.power, below = 1 - x;
  double series = p * (p + 1) / 2, of_series = 0;
  for (int k = basis.power - 2; k >= 0; --k) {
    of_series = of_series * x + series;
    series = series * x + (k + 1) * (k + 2) / 2.0;
  }
  const double envelope = below * below * below * series;
  const double of_envelope = below * below * (below * of_series - 3 * series);
  auto put = [&](int n, double f, double of_f) __attribute__((always_inline)) {
    values[n] = T(basis.factors[n] * f * envelope);
    slopes[n] = T(basis.factors[n] * (of_f * envelope + f * of_envelope) / basis.cutoff);
  };
  if (basis.kind == BasisKind::gaussian) {
    const double inverse = basis.number > 1 ? basis.number - 1 : 1;
    for (int n = 0; n < basis.number; ++n) {
      const double away = x * inverse - n, f = __builtin_exp(-away * away / 2);
      put(n, f, -away * inverse * f);
    }
    return;
  }
  constexpr double pi = 3.14159265358979323846;
  const bool bessel = basis.kind == BasisKind::bessel;
  const double angle = pi * x, sine = bessel ? __builtin_sin(angle) : 0, c = bessel ? __builtin_cos(angle) : 2 * x - 1;
  const Sinc sinc(angle, sine, c);
  // U_n-1 and U_n with their derivatives by c; T_n too.
  double before = 0, now = 1, of_before = 0, of_now = 0, t_before = c, t_now = 1;
  for (int n = 0; n < basis.number; ++n) {
    if (bessel)
      put(n, now * sinc.value, pi * (now * sinc.slope - of_now * sine * sinc.value));
    else
      put(n, t_now, 2 * n * before);
    const double next = 2 * c * now - before, of_next = 2 * now + 2 * c * of_now - of_before;
    const double t_next = 2 * c * t_now - t_before;
    before = now, now = next, of_before = of_now, of_now = of_next, t_before = t_now, t_now = t_next;
  }
}

// A few edges on their way through radial networks. Rows of values and, behind them, of slopes lie in one array, so that
// a matrix product does both at once; of each layer its input [2 count, in] and its sums [2 count, out] are kept.
template <class T>
class RadialWork {
 public:
  explicit RadialWork(const Program<T>& program) : memory_(size(program)) {
    spare_ = memory_ + 2 * tile_edges * depth_;
  }

  // R(r) and its slopes of `count` edges, [count, out] each.
  void forward(const RadialNetwork<T>& network, const T* distances, int count, T* values, T* slopes) {
    take(network.basis, distances, count);
    T* at = memory_;
    for (int k = 0; k < network.num_layers; ++k) {
      const RadialLayer<T>& layer = network.layers[k];
      T* sums = at + 2L * tile_edges * layer.in;
      gemm<T>(2 * count, layer.out, {layer.in, at, layer.in, 1, layer.weight, layer.out, sums, layer.out, false});
      at = sums + 2L * tile_edges * layer.out;
      const long numbers = long(count) * layer.out;
      const bool last = k == network.num_layers - 1;
      activation_along<T>(network.function, network.factor, numbers, sums, sums + numbers, last ? values : at,
                          last ? slopes : at + numbers);
    }
    end_ = at;
  }

  // Adds to `of_weights`, which are those from `weights` on, the derivatives of <g, R> + <g_slopes, R'>. What
  // `forward` would give is not kept.
  void backward(const RadialNetwork<T>& network, const T* distances, int count, const T* g, const T* g_slopes,
                const T* weights, T* of_weights) {
    T* of_sums = spare_;
    T* of_input = spare_ + 2L * tile_edges * widest_;
    forward(network, distances, count, of_input, of_input + long(tile_edges) * widest_);
    T* at = end_;
    for (int k = network.num_layers - 1; k >= 0; --k) {
      const RadialLayer<T>& layer = network.layers[k];
      const T* sums = at - 2L * tile_edges * layer.out;
      at -= 2L * tile_edges * (layer.in + layer.out);
      const long numbers = long(count) * layer.out;
      activation_along_backward<T>(network.function, network.factor, numbers, sums, sums + numbers, g, g_slopes,
                                   of_sums, of_sums + numbers);
      gemm<T>(layer.in, layer.out,
              {2 * count, at, 1, layer.in, of_sums, layer.out, of_weights + (layer.weight - weights), layer.out, true});
      if (k == 0) return;
      gemm<T>(2 * count, layer.in,
              {layer.out, of_sums, layer.out, 1, layer.turned, layer.in, of_input, layer.in, false});
      g = of_input;
      g_slopes = of_input + long(count) * layer.in;
    }
  }

 private:
  long size(const Program<T>& program) {
    for (int s = 0; s < program.num_steps; ++s) {
      const RadialNetwork<T>& network = program.steps[s].radial;
      long depth = 0;
      for (int k = 0; k < network.num_layers; ++k) {
        const RadialLayer<T>& layer = network.layers[k];
        depth += layer.in + layer.out;
        if (layer.in > widest_) widest_ = layer.in;
        if (layer.out > widest_) widest_ = layer.out;
      }
      if (depth > depth_) depth_ = depth;
    }
    return 2 * tile_edges * (depth_ + 2 * widest_);
  }

  // The basis at these distances, to where the first layer reads it and nothing else is written.
  void take(const RadialBasis& basis, const T* distances, int count) {
    if (taken_ == distances && taken_basis_ == basis.factors) return;
    taken_ = distances;
    taken_basis_ = basis.factors;
    for (int e = 0; e < count; ++e)
      radial_basis<T>(basis, distances[e], memory_ + long(e) * basis.number,
                      memory_ + long(count + e) * basis.number);
  }

  long depth_ = 1, widest_ = 1;
  Scratch<T> memory_;
  T* spare_;
  T* end_ = nullptr;
  const T* taken_ = nullptr;
  const double* taken_basis_ = nullptr;
};

}  // namespace cynosure::CYNOSURE_ISA
