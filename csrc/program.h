// A whole network as a list of steps over arrays of node features, made in Python (src/cynosure/kernels/program.py)
// and run forward and backward in one call (execute.h). Plain numbers, shared by all instruction sets.
//
// An array is [nodes, dim] and lies in the arena from nodes * offset on. The derivative of the energy with respect to
// an array is an array too. Arrays that are never needed at one time share their place.
#pragma once

#include <cstdint>

#include "contraction_plan.h"
#include "plan.h"

namespace cynosure {

struct Array {
  int64_t offset;
  int32_t dim;
};

// One pair of blocks that a linear map joins; W is [in_channels, out_channels] per species, or for all of them.
template <class T>
struct LinearTerm {
  int32_t in, in_channels, out, out_channels, dim;
  bool add;  // to what the block of `out` holds already
  const T* weight;
  int64_t species_stride;
};

template <class T>
struct LinearMap {
  const LinearTerm<T>* terms;
  int32_t num_terms;
};

// `over` is 1 / (1 + x), for x above -1.
enum class Function : int32_t { identity, silu, tanh, sigmoid, over };

template <class T>
struct GateItem {
  bool scalar;  // out = factor f(gate), otherwise out = in factor f(gate)
  Function function;
  int32_t channels, dim, in, gate, out;
  T factor;
};

enum class BasisKind : int32_t { bessel, gaussian, chebyshev };

// Functions of the distance times an envelope (src/cynosure/nn/radial.py).
struct RadialBasis {
  BasisKind kind;
  int32_t number, power;  // functions; the envelope's power
  double cutoff;
  const double* factors;  // [number]; those that are the same lie at the same place
};

// One layer of a radial network, factor f(x W), with W [in, out] as it is and turned round.
template <class T>
struct RadialLayer {
  int32_t in, out;
  const T *weight, *turned;
};

template <class T>
struct RadialNetwork {
  RadialBasis basis;
  const RadialLayer<T>* layers;
  int32_t num_layers;
  Function function;
  double factor;
};

enum class Kind : int32_t { embed, linear, convolve, contract, gate };

// What one step reads and writes; the derivatives flow the other way.
template <class T>
struct Step {
  Kind kind;
  bool by_species;  // of a linear map
  Array in, out, of_in, of_out;  // of_in.dim is 0 where nothing depends on `in`
  const T* table;                // embed: [species, out.dim]; contract: [species, num_nodes, channels]
  LinearMap<T> map, transposed;  // linear, and convolve: from its message to `out`
  Plan<T> plan;                  // convolve
  const T* weight;               // convolve: [tables, intervals, basis, plan.num_weights]
  Intervals<T> intervals;        // convolve
  bool by_pair;                  // convolve: has a table for each pair of species (Program::slots)
  int32_t basis;                 // convolve
  ContractionPlan contraction;   // contract
  const GateItem<T>* items;      // gate
  int32_t num_items;
  // For training alone (train.h). Arrays of values' derivatives along a direction (`along`), and of the derivatives of
  // the loss with respect to values (`adjoint`); of a convolution's message, itself and along.
  Array along_in, along_out, adjoint_in, adjoint_out, message, along_message;
  LinearMap<T> adjoint_map;  // as `transposed`, but where it adds
  RadialNetwork<T> radial;   // convolve
  int64_t radial_place;      // convolve: where its radial functions lie, edges * radial_place from the first on
};

template <class T>
struct Program {
  const Step<T>* steps;
  int32_t num_steps, lmax, num_species;
  int64_t arena;           // numbers a node
  Array energy, of_energy;  // the last array, one number a node, and its derivative
  const int32_t* slots;     // [species, species], the tables of pairs; null where pairs are alike
};

// Where a result is not wanted its pointer is null; with both of the last two null no derivative is taken.
template <class T>
struct ProgramCall {
  const int64_t* species;  // [nodes]
  const double* vectors;   // [edges, 3]
  const T* seed;           // [nodes] derivative of the energy with respect to the network's output
  T* output;               // [nodes]
  T* forces;               // [nodes, 3]
  double* virials;         // [nodes, 3, 3]
};

// What the second pass of training asks for (train.h).
template <class T>
struct TrainCall {
  // The derivatives of the loss with respect to the output [nodes] and to the derivatives with respect to edge vectors
  // [edges, 3].
  const T* of_output;
  const T* of_gradient;
  // The result, for every weight from `weights` on.
  const T* weights;
  int64_t num_weights;
  T* of_weights;
};

// Memory of one run, kept between runs.
template <class T>
struct Workspace {
  T* arena;      // [Program::arena * nodes]
  T* vectors;    // [edges, 3]
  T* distances;  // [edges]
  T* harmonics;  // [edges, (lmax + 1)^2]
  // Derivatives of the energy with respect to the same.
  T* of_vectors;
  T* of_distances;
  T* of_harmonics;
  int64_t* nodes;       // [nodes], those of each thread by species within a tile
  int64_t* order;       // [edges], those of each receiver by table and distance
  int32_t* slots;       // [edges], their tables, if pairs differ
  // For training: distances and harmonics along the direction; and of every convolution (Step::radial_place) the radial
  // functions and their slopes, [edges, basis] each, with the derivatives of the loss with respect to them.
  T* along_distances;
  T* along_harmonics;
  T* radial;
  T* of_radial;
};

}  // namespace cynosure
