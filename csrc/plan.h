// The paths of a convolution as plain numbers, made from a PathTable in Python. Shared by all instruction sets.
#pragma once

#include <cstdint>

namespace cynosure {

// One path x[block] (x) Y[l_edge] -> out. A path's matrix M[k][m] = sum_n C[m][n][k] Y[n] is shared by every path
// with the same degrees: `entry` is its first element in the list of matrix elements, k outer, m inner. A path
// with l_edge = 0 has M proportional to the unit matrix and a single element.
struct Path {
  int32_t dim_out, out_offset, entry, diagonal;
  // The block of Y, and where the terms of its components begin (Terms::number).
  int32_t edge_offset, dim_edge, term;
};

// The paths that read one block of x: first_path ... first_path + num_paths - 1, whose weights follow each other.
struct Group {
  int32_t x_offset, channels, dim_in, first_path, num_paths, weight_offset;
};

// The nonzero Clebsch-Gordan numbers, twice. By matrix element: element e is the sum of value[t] Y[component[t]]
// over t in first[e] ... first[e + 1] - 1. And by component n of Y: the terms of a path are number[term + n] ...
// number[term + n + 1] - 1, each with the element that it belongs to, counted from the path's own first.
template <class T>
struct Terms {
  const int32_t *first, *component;
  const T* value;
  const int32_t *number, *element;
  const T* number_value;
};

template <class T>
struct Plan {
  int32_t dim_x, dim_edge, dim_out, num_weights, num_groups, num_entries, max_weights;
  const Path* paths;
  const Group* groups;
  Terms<T> terms;
};

// The edges by receiver: those of node i are order[start[i]] ... order[start[i + 1] - 1], or start[i] ... themselves
// when `order` is null (edges already sorted).
struct Edges {
  int64_t nodes, edges;
  const int64_t* start;
  const int64_t* order;
  const int64_t* senders;
};

// Equal intervals of distances from zero on. In each of them the radial functions are polynomials (polynomials.h), which
// have mixing weights of their own: weight[interval][basis][num_weights], one table after the other where pairs of
// species differ.
template <class T>
struct Intervals {
  T inverse_step;
  int32_t count;
};

template <class T>
struct ConvolveInputs {
  const T* x;          // [nodes, dim_x]
  const T* harmonics;  // [edges, dim_edge]
  const T* radial;     // [edges, basis]; null where intervals give them
  const T* weight;     // [basis, num_weights], for each interval of each table
  int64_t basis;
  const Intervals<T>* intervals = nullptr;
  const T* distances = nullptr;  // [edges], with intervals
  const T* slopes = nullptr;     // [edges, basis] of `radial`, without intervals; for derivatives to distances
  const int32_t* slots = nullptr;  // [edges], with intervals: which table, if there are several
};

// Where a derivative is not wanted its pointer is null. All of them are written, not added to, but for those that a
// network collects from all its layers (`distances`, and `harmonics` where `add_harmonics` says so).
template <class T>
struct ConvolveGradients {
  T* x;          // [nodes, dim_x]
  T* harmonics;  // [edges, dim_edge]
  T* radial;     // [edges, basis]
  T* weight;     // [basis, num_weights]
  T* distances = nullptr;  // [edges], with intervals or slopes
  bool add_harmonics = false;
};

// The derivatives of <u_x, gx> + <u_Y, gY> + <u_R, gR>, where gx, gY, gR are those of <g, out>. Null: not wanted.
template <class T>
struct SecondGradients {
  T* g;       // [nodes, dim_out]
  T* x;       // [nodes, dim_x]
  T* radial;  // [edges, basis]
  T* weight;  // [basis, num_weights]
};

}  // namespace cynosure
