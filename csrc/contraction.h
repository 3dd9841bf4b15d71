// The symmetric contraction: polynomials of a node's features, channel by channel, with coefficients of its species.
//
//   out[k][c] = value(root k),   value(n) = coefficient[n][c] + sum over children m of value(m) x[variable[m]][c]
//
// Lanes are channels. A few nodes go through the tree together, so that a coefficient is loaded once for all of them.
// The derivative of <g, out> goes down the tree with seed(m) = seed(n) x[variable[m]], and takes values with it on the
// way back up. Both work on any number: with dual numbers x + e u the part at e of the first is the derivative along u,
// and with the seed g + e ug that of the second is the derivative of <ug, out> + <g, derivative of out along u>.
#pragma once

#include "contraction_plan.h"
#include "sharing.h"
#include "simd.h"

namespace cynosure::CYNOSURE_ISA {

// Nodes that go through the tree together.
constexpr int contracted_nodes = registers == 32 ? 4 : 2;

template <class T>
struct Dual {
  Vec<T> value, along;
};

template <class T>
CYNOSURE_INLINE Dual<T> operator+(Dual<T> a, Dual<T> b) {
  return {a.value + b.value, a.along + b.along};
}
template <class T>
CYNOSURE_INLINE Dual<T> operator*(Dual<T> a, Dual<T> b) {
  return {a.value * b.value, a.value * b.along + a.along * b.value};
}

// Numbers are vectors or dual ones; a coefficient may be a vector where the variables are dual.
template <class T>
struct PlainNumbers {
  using Number = Vec<T>;
  using Coefficient = Vec<T>;
  static CYNOSURE_INLINE Number make(Vec<T> value, Vec<T>) { return value; }
  static CYNOSURE_INLINE Number of(Coefficient c) { return c; }
  static CYNOSURE_INLINE Number times(Coefficient c, Number x) { return c * x; }
  static CYNOSURE_INLINE Vec<T> last(Number x) { return x; }
};

template <class T>
struct DualNumbers {
  using Number = Dual<T>;
  using Coefficient = Vec<T>;
  static CYNOSURE_INLINE Number make(Vec<T> value, Vec<T> along) { return {value, along}; }
  static CYNOSURE_INLINE Number of(Coefficient c) { return {c, Vec<T>{}}; }
  static CYNOSURE_INLINE Number times(Coefficient c, Number x) { return {c * x.value, c * x.along}; }
  static CYNOSURE_INLINE Vec<T> last(Number x) { return x.along; }
};

template <class T>
struct DualCoefficients : DualNumbers<T> {
  using Coefficient = Dual<T>;
  static CYNOSURE_INLINE Dual<T> of(Coefficient c) { return c; }
  static CYNOSURE_INLINE Dual<T> times(Coefficient c, Dual<T> x) { return c * x; }
};

// ROWS nodes and one vector of channels on their way through the trees.
template <class T, class NUMBERS, int ROWS, bool TAIL>
class Contracted {
 public:
  using Number = typename NUMBERS::Number;
  static constexpr bool dual = sizeof(Number) > sizeof(Vec<T>);

  Contracted(const ContractionPlan& plan, const ContractionCall<T>& call, long channel, int tail, Number* x, Vec<T>* of_x)
      : plan_(plan), call_(call), channel_(channel), tail_(tail), x_(x), of_x_(of_x) {}

  void take(long first) {
    for (int v = 0; v < plan_.dim_in; ++v)
      for (int r = 0; r < ROWS; ++r) x_[v * ROWS + r] = number(call_.x, call_.ux, first + r, v);
  }

  void forward(long first, T* const* out) const {
    for (int k = 0; k < plan_.dim_out; ++k) {
      Number value[ROWS];
      up(plan_.roots[k], value);
      for (int r = 0; r < ROWS; ++r)
        put<T, TAIL>(out[first + r] + k * plan_.channels + channel_, NUMBERS::last(value[r]), tail_);
    }
  }

  void backward(long first) const {
    for (int c = 0; c < plan_.dim_in * ROWS; ++c) of_x_[c] = Vec<T>{};
    for (int k = 0; k < plan_.dim_out; ++k) {
      Number seed[ROWS], value[ROWS];
      for (int r = 0; r < ROWS; ++r) seed[r] = number(call_.g, call_.ug, first + r, k);
      down(plan_.roots[k], seed, value);
    }
    if (!call_.of_x) return;
    for (int v = 0; v < plan_.dim_in; ++v)
      for (int r = 0; r < ROWS; ++r)
        put<T, TAIL>(call_.of_x[first + r] + v * plan_.channels + channel_, of_x_[v * ROWS + r], tail_);
  }

 private:
  Number number(const T* const* rows, const T* const* along, long row, int component) const {
    const long place = long(component) * plan_.channels + channel_;
    Vec<T> u{};
    if constexpr (dual)
      if (along) u = get<T, TAIL>(along[row] + place, tail_);
    return NUMBERS::make(get<T, TAIL>(rows[row] + place, tail_), u);
  }

  typename NUMBERS::Coefficient coefficient(int node) const {
    const long place = long(node) * plan_.channels + channel_;
    if constexpr (sizeof(typename NUMBERS::Coefficient) > sizeof(Vec<T>))
      return {get<T, TAIL>(call_.coefficients + place, tail_), get<T, TAIL>(call_.ucoefficients + place, tail_)};
    else
      return get<T, TAIL>(call_.coefficients + place, tail_);
  }

  // The value of a node; returns the number of the node behind its tree.
  int up(int node, Number* value) const {
    Number sum[ROWS];
    for (int r = 0; r < ROWS; ++r) sum[r] = NUMBERS::of(coefficient(node));
    int next = node + 1;
    for (const int last = next + plan_.leaves[node]; next < last; ++next) {
      const auto c = coefficient(next);
      const Number* x = x_ + plan_.variable[next] * ROWS;
      for (int r = 0; r < ROWS; ++r) sum[r] = sum[r] + NUMBERS::times(c, x[r]);
    }
    for (int k = plan_.children[node]; k > 0; --k) {
      const Number* x = x_ + plan_.variable[next] * ROWS;
      Number below[ROWS];
      next = up(next, below);
      for (int r = 0; r < ROWS; ++r) sum[r] = sum[r] + below[r] * x[r];
    }
    for (int r = 0; r < ROWS; ++r) value[r] = sum[r];
    return next;
  }

  // The same, and what the node's seed gives to the derivatives.
  int down(int node, const Number* seed, Number* value) const {
    Number sum[ROWS];
    for (int r = 0; r < ROWS; ++r) sum[r] = NUMBERS::of(coefficient(node));
    add_coefficient(node, seed);
    int next = node + 1;
    for (const int last = next + plan_.leaves[node]; next < last; ++next) {
      const auto c = coefficient(next);
      const Number* x = x_ + plan_.variable[next] * ROWS;
      Vec<T>* of_x = of_x_ + plan_.variable[next] * ROWS;
      Number product[ROWS];
      for (int r = 0; r < ROWS; ++r) {
        sum[r] = sum[r] + NUMBERS::times(c, x[r]);
        of_x[r] += NUMBERS::last(NUMBERS::times(c, seed[r]));
        product[r] = seed[r] * x[r];
      }
      add_coefficient(next, product);
    }
    for (int k = plan_.children[node]; k > 0; --k) {
      const int variable = plan_.variable[next];
      const Number* x = x_ + variable * ROWS;
      Number below[ROWS], product[ROWS];
      for (int r = 0; r < ROWS; ++r) product[r] = seed[r] * x[r];
      next = down(next, product, below);
      for (int r = 0; r < ROWS; ++r) {
        sum[r] = sum[r] + below[r] * x[r];
        of_x_[variable * ROWS + r] += NUMBERS::last(seed[r] * below[r]);
      }
    }
    for (int r = 0; r < ROWS; ++r) value[r] = sum[r];
    return next;
  }

  void add_coefficient(int node, const Number* of_value) const {
    if (!call_.of_coefficients) return;
    T* place = call_.of_coefficients + long(node) * plan_.channels + channel_;
    Vec<T> sum = get<T, TAIL>(place, tail_);
    for (int r = 0; r < ROWS; ++r) sum += NUMBERS::last(of_value[r]);
    put<T, TAIL>(place, sum, tail_);
  }

  const ContractionPlan& plan_;
  const ContractionCall<T>& call_;
  const long channel_;
  const int tail_;
  Number* x_;
  Vec<T>* of_x_;
};

// f(contracted, first) for all rows and the channels from `begin` to `end`, with the variables taken.
template <class T, class NUMBERS, class F>
void over_contracted(const ContractionPlan& plan, const ContractionCall<T>& call, long count, long begin, long end,
                     F&& f) {
  using Number = typename NUMBERS::Number;
  constexpr int rows = contracted_nodes;
  Scratch<Number> x(long(plan.dim_in) * rows);
  Scratch<Vec<T>> of_x(long(plan.dim_in) * rows);
  auto run = [&]<int ROWS, bool TAIL>(long first, long channel, int tail) {
    Contracted<T, NUMBERS, ROWS, TAIL> contracted(plan, call, channel, tail, x, of_x);
    contracted.take(first);
    f(contracted, first);
  };
  for (long channel = begin; channel < end; channel += lanes<T>) {
    const int tail = end - channel < lanes<T> ? int(end - channel) : 0;
    long first = 0;
    for (; first + rows <= count; first += rows)
      tail ? run.template operator()<rows, true>(first, channel, tail)
           : run.template operator()<rows, false>(first, channel, tail);
    for (; first < count; ++first)
      tail ? run.template operator()<1, true>(first, channel, tail)
           : run.template operator()<1, false>(first, channel, tail);
  }
}

template <class T, class F>
void with_numbers(const ContractionPlan& plan, const ContractionCall<T>& call, long count, long begin, long end, F&& f) {
  if (!call.ux) return over_contracted<T, PlainNumbers<T>>(plan, call, count, begin, end, f);
  if (!call.ucoefficients) return over_contracted<T, DualNumbers<T>>(plan, call, count, begin, end, f);
  over_contracted<T, DualCoefficients<T>>(plan, call, count, begin, end, f);
}

// The result, or with a direction its derivative along it, of `count` rows; channels from `begin` to `end`.
template <class T>
void contract(const ContractionPlan& plan, const ContractionCall<T>& call, long count, T* const* out, long begin,
              long end) {
  with_numbers<T>(plan, call, count, begin, end,
                  [&](const auto& contracted, long first) { contracted.forward(first, out); });
}

// The derivatives of <g, out>, or with a direction those of <ug, out> + <g, out along it>.
template <class T>
void contract_back(const ContractionPlan& plan, const ContractionCall<T>& call, long count, long begin, long end) {
  with_numbers<T>(plan, call, count, begin, end,
                  [&](const auto& contracted, long first) { contracted.backward(first); });
}

// --- As an operator of its own: all nodes, the channels shared out among the threads ---------------------------------

template <class T>
void contract_all(const ContractionPlan& plan, const ContractionNodes<T>& all, int threads) {
  constexpr int some = 16 * contracted_nodes;
  const long vectors = (plan.channels + lanes<T> - 1) / lanes<T>;
  const long row_in = long(plan.dim_in) * plan.channels, row_out = long(plan.dim_out) * plan.channels;
  const long row_species = long(plan.num_nodes) * plan.channels;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const int me = omp_get_thread_num(), team = omp_get_num_threads();
    const long begin = vectors * me / team * lanes<T>;
    const long end_of_mine = vectors * (me + 1) / team * lanes<T>;
    const long end = end_of_mine < plan.channels ? end_of_mine : plan.channels;
    if (all.of_coefficients)
      for (long s = 0; s < all.num_species * plan.num_nodes; ++s)
        for (long c = begin; c < end; ++c) all.of_coefficients[s * plan.channels + c] = T(0);
    auto at = [](auto* rows, long shift) { return rows ? rows + shift : nullptr; };
    const T *x[some], *ux[some], *g[some];
    T *of_x[some], *out[some];
    for (long first = 0, last; first < all.nodes; first = last) {
      const int64_t species = all.species[all.order[first]];
      int count = 0;
      for (last = first; last < all.nodes && count < some && all.species[all.order[last]] == species; ++last, ++count) {
        const int64_t node = all.order[last];
        x[count] = at(all.x, node * row_in);
        ux[count] = at(all.ux, node * row_in);
        g[count] = at(all.g, node * row_out);
        of_x[count] = at(all.of_x, node * row_in);
        out[count] = at(all.out, node * row_out);
      }
      const long shift = species * row_species;
      const ContractionCall<T> call{all.coefficients + shift,
                                    at(all.ucoefficients, shift),
                                    x,
                                    all.ux ? ux : nullptr,
                                    g,
                                    nullptr,
                                    all.of_x ? of_x : nullptr,
                                    at(all.of_coefficients, shift)};
      if (all.out) contract<T>(plan, call, count, out, begin, end);
      if (all.of_x || all.of_coefficients) contract_back<T>(plan, call, count, begin, end);
    }
  }
}

}  // namespace cynosure::CYNOSURE_ISA
