// What orthogonal.h is asked for. Shared by all instruction sets.
#pragma once

#include <cstdint>

namespace cynosure {

// X <- (a + b X X^T + c (X X^T)^2) X, so many times.
struct Iteration {
  double a, b, c;
  int32_t rounds;
};

// One matrix [rows, columns], and where `factor` times its orthogonal one goes.
struct MatrixCall {
  int32_t rows, columns;
  double factor;
  const void* from;
  void* to;
};

}  // namespace cynosure
