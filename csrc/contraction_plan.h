// The polynomials of a symmetric contraction as trees of plain numbers, made in Python
// (src/cynosure/kernels/contraction_table.py). Shared by all instruction sets.
#pragma once

#include <cstdint>

namespace cynosure {

// Nodes are numbered from each root downwards: behind a node come `leaves` of its children, those without children,
// then `children` with their own trees. The value of a node is its coefficient and the sum over its children of their
// values times the variables that they name.
struct ContractionPlan {
  int32_t dim_in, dim_out, channels, num_nodes;  // dims without channels
  const int32_t *variable, *leaves, *children;   // [num_nodes]
  const int32_t* roots;                          // [dim_out]
};

// Rows of nodes, [dim_in or dim_out, channels] each, that share their coefficients [num_nodes, channels]. Null: not
// given, or not wanted. With directions `u...` everything is the derivative along them.
template <class T>
struct ContractionCall {
  const T* coefficients;
  const T* ucoefficients;
  const T* const* x;
  const T* const* ux;
  // Of the derivative: cotangents of the result, and of its derivative along the direction; results are added to
  // of_coefficients, and written to of_x.
  const T* const* g;
  const T* const* ug;
  T* const* of_x;
  T* of_coefficients;
};

// All nodes of a graph. Null: not given, or not wanted.
template <class T>
struct ContractionNodes {
  int64_t nodes, num_species;
  const int64_t* species;  // [nodes]
  const int64_t* order;    // [nodes], those of one species after each other
  const T *x, *ux;         // [nodes, dim_in, channels]
  const T *coefficients, *ucoefficients;  // [num_species, num_nodes, channels]
  const T* g;              // [nodes, dim_out, channels]
  // With directions, the results are derivatives along them.
  T* out;              // [nodes, dim_out, channels]
  T* of_x;             // [nodes, dim_in, channels]
  T* of_coefficients;  // [num_species, num_nodes, channels]
};

}  // namespace cynosure
