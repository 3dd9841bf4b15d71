// The orthogonal matrices nearest to many small ones, by a Newton-Schulz iteration on their Gram matrices
// (src/cynosure/kernels/orthogonal.py has the formulas).
#pragma once

#include "gemm.h"
#include "orthogonal_call.h"
#include "sharing.h"

namespace cynosure::CYNOSURE_ISA {

// `work` holds 4 side^2 + rows columns numbers.
template <class T>
void orthogonal_one(const Iteration& iteration, const MatrixCall& call, T* work) {
  const long rows = call.rows, columns = call.columns;
  const bool wide = rows <= columns;
  const long side = wide ? rows : columns, numbers = side * side;
  const T* g = static_cast<const T*>(call.from);
  T* to = static_cast<T*>(call.to);
  T *gram = work, *round = work + numbers, *factor = work + 2 * numbers, *spare = work + 3 * numbers;
  auto product = [&](const T* a, const T* b, T* c) {
    gemm<T>(side, side, {side, a, side, 1, b, side, c, side, false});
  };

  if (wide) {
    T* turned = work + 4 * numbers;
    for (long r = 0; r < rows; ++r)
      for (long c = 0; c < columns; ++c) turned[c * rows + r] = g[r * columns + c];
    gemm<T>(side, side, {columns, g, columns, 1, turned, rows, gram, side, false});
  } else {
    gemm<T>(side, side, {rows, g, 1, columns, g, columns, gram, side, false});
  }
  T norm = 0;
  for (long r = 0; r < side; ++r) norm += gram[r * side + r];
  if (norm == T(0)) {
    for (long i = 0; i < rows * columns; ++i) to[i] = T(0);
    return;
  }
  for (long i = 0; i < numbers; ++i) gram[i] /= norm;

  for (int k = 0; k < iteration.rounds; ++k) {
    product(gram, gram, round);
    for (long i = 0; i < numbers; ++i) round[i] = T(iteration.b) * gram[i] + T(iteration.c) * round[i];
    for (long r = 0; r < side; ++r) round[r * side + r] += T(iteration.a);
    if (k == 0) {
      std::memcpy(factor, round, numbers * sizeof(T));
    } else {
      product(round, factor, spare);
      std::swap(factor, spare);
    }
    if (k == iteration.rounds - 1) break;
    product(gram, round, spare);
    product(spare, round, gram);
  }
  const T scale = T(call.factor) / T(__builtin_sqrt(double(norm)));
  for (long i = 0; i < numbers; ++i) factor[i] *= scale;
  if (wide)
    gemm<T>(side, columns, {side, factor, side, 1, g, columns, to, columns, false});
  else
    gemm<T>(rows, side, {side, g, columns, 1, factor, side, to, side, false});
}

template <class T>
void orthogonal(const Iteration& iteration, const MatrixCall* calls, long count, int threads) {
  long most = 1;
  for (long i = 0; i < count; ++i) {
    const long side = calls[i].rows < calls[i].columns ? calls[i].rows : calls[i].columns;
    const long size = 4 * side * side + long(calls[i].rows) * calls[i].columns;
    if (size > most) most = size;
  }
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Scratch<T> work(most);
#pragma omp for schedule(dynamic)
    for (long i = 0; i < count; ++i) orthogonal_one<T>(iteration, calls[i], work);
  }
}

}  // namespace cynosure::CYNOSURE_ISA
