// A program with the memory behind it: weights, plans, and the workspace of its runs.
#pragma once

#include <algorithm>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "contraction_trees.h"
#include "convolution.h"
#include "kernels.h"
#include "program.h"
#include "renumbering.h"
#include "topology.h"

namespace cynosure {

using Integers = std::vector<int32_t>;
using Addresses = std::vector<uintptr_t>;

// Terms of a linear map as they come from Python: six numbers each, in the order of LinearTerm up to `add`, and where
// its weights lie, [species (or 1), in_channels, out_channels]. Weights are float64 and copied; for training they are
// numbers of the network's own precision, used where they are.
struct TermList {
  Integers numbers;
  Addresses weights;
};

class NetworkBase {
 public:
  virtual ~NetworkBase() = default;
  // Offset and dim of in, out, of_in, of_out; for training also of along_in, along_out, adjoint_in, adjoint_out, message
  // and along_message.
  using Arrays = std::vector<int64_t>;
  virtual void embed(const Arrays&, const double* table) = 0;
  virtual void linear(const Arrays&, bool by_species, const TermList& map, const TermList& transposed,
                      const TermList& adjoint) = 0;
  // `tables` of `intervals` each: more than one where pairs of species differ (`pairs`).
  virtual void convolve(const Arrays&, const Convolution&, const double* weight, int tables, int intervals, int basis,
                        double step, const TermList& map, const TermList& transposed, const TermList& adjoint) = 0;
  // For training: the radial functions of the convolution that was added last. `sizes` of the basis and of each layer;
  // for each layer the addresses of its weights and of the same turned round.
  virtual void radial(BasisKind kind, int power, double cutoff, const std::vector<double>& factors, Function function,
                      double factor, const Integers& sizes, const Addresses& weights) = 0;
  // Seven numbers an item: is it a scalar's, the function, channels, dim, in, gate, out.
  virtual void contract(const Arrays& arrays, const ContractionTrees& trees, const double* coefficients) = 0;
  virtual void gate(const Arrays&, const Integers& items, const std::vector<double>& factors) = 0;
  // The table of each pair of species, [species, species], -1 for those without.
  virtual void pairs(const Integers& slots) = 0;
  virtual void finish(int64_t arena, const std::vector<int64_t>& energy) = 0;
  virtual void run(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders,
                   const int64_t* species, const double* vectors, const void* seed, void* output, void* forces,
                   double* virials, const int64_t* visits, int threads) = 0;

  // Training, of a network made with `weights`. What the two passes share lies in `memory`, of so many numbers.
  virtual int64_t train_memory(int64_t nodes, int64_t edges) const = 0;
  virtual void train_first(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders,
                           const int64_t* species, const double* vectors, const void* seed, void* memory,
                           void* output, void* gradient, int threads) = 0;
  virtual void train_second(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders,
                            const int64_t* species, void* memory, const void* of_output, const void* of_gradient,
                            void* of_weights, int threads) = 0;
};

template <class T>
class Network : public NetworkBase {
 public:
  // `weights`: for training, the first of `num_weights` numbers, those whose derivatives are taken.
  Network(int lmax, int num_species, const T* weights, int64_t num_weights)
      : program_{nullptr, 0, lmax, num_species, 0, {}, {}, nullptr}, weights_(weights), num_weights_(num_weights) {}

  void embed(const Arrays& arrays, const double* table) override {
    Step<T>& step = add(Kind::embed, arrays);
    step.table = keep(table, int64_t(program_.num_species) * step.out.dim);
  }

  void linear(const Arrays& arrays, bool by_species, const TermList& map, const TermList& transposed,
              const TermList& adjoint) override {
    Step<T>& step = add(Kind::linear, arrays);
    step.by_species = by_species;
    step.map = keep(map, by_species);
    step.transposed = keep(transposed, by_species);
    step.adjoint_map = keep(adjoint, by_species);
  }

  void convolve(const Arrays& arrays, const Convolution& convolution, const double* weight, int tables, int intervals,
                int basis, double step_size, const TermList& map, const TermList& transposed, const TermList& adjoint) override {
    Step<T>& step = add(Kind::convolve, arrays);
    convolutions_.push_back(convolution);
    step.plan = convolutions_.back().template plan<T>();
    step.weight = keep(weight, int64_t(tables) * intervals * basis * step.plan.num_weights);
    step.by_pair = tables > 1;
    step.intervals = {T(step_size > 0 ? 1 / step_size : 0), intervals};
    step.basis = basis;
    step.map = keep(map, false);
    step.transposed = keep(transposed, false);
    step.adjoint_map = keep(adjoint, false);
  }

  void radial(BasisKind kind, int power, double cutoff, const std::vector<double>& factors, Function function,
              double factor, const Integers& sizes, const Addresses& weights) override {
    Step<T>& step = steps_.back();
    std::vector<RadialLayer<T>>& layers = layers_.emplace_back();
    for (size_t k = 0; k + 1 < sizes.size(); ++k)
      layers.push_back({sizes[k], sizes[k + 1], reinterpret_cast<const T*>(weights.at(2 * k)),
                        reinterpret_cast<const T*>(weights.at(2 * k + 1))});
    RadialBasis basis{kind, sizes.at(0), power, cutoff, nullptr};
    for (const RadialBasis& other : bases_)
      if (other.kind == kind && other.power == power && other.cutoff == cutoff && other.number == basis.number &&
          std::equal(factors.begin(), factors.end(), other.factors))
        basis.factors = other.factors;
    if (!basis.factors) {
      basis.factors = factors_.emplace_back(factors).data();
      bases_.push_back(basis);
    }
    step.radial = {basis, layers.data(), int32_t(layers.size()), function, factor};
    step.radial_place = radial_;
    radial_ += 2 * step.basis;
  }

  void contract(const Arrays& arrays, const ContractionTrees& trees, const double* coefficients) override {
    Step<T>& step = add(Kind::contract, arrays);
    step.contraction = trees_.emplace_back(trees).plan();
    step.table = keep(coefficients, int64_t(program_.num_species) * step.contraction.num_nodes * step.contraction.channels);
  }

  void gate(const Arrays& arrays, const Integers& items, const std::vector<double>& factors) override {
    Step<T>& step = add(Kind::gate, arrays);
    std::vector<GateItem<T>>& list = items_.emplace_back();
    for (size_t i = 0; i < factors.size(); ++i) {
      const int32_t* n = items.data() + 7 * i;
      list.push_back({n[0] != 0, Function(n[1]), n[2], n[3], n[4], n[5], n[6], T(factors[i])});
    }
    step.items = list.data();
    step.num_items = int32_t(list.size());
  }

  void pairs(const Integers& slots) override {
    slots_of_pairs_ = slots;
    program_.slots = slots_of_pairs_.data();
  }

  void finish(int64_t arena, const std::vector<int64_t>& energy) override {
    program_.steps = steps_.data();
    program_.num_steps = int32_t(steps_.size());
    program_.arena = arena;
    program_.energy = {energy.at(0), 1};
    program_.of_energy = {energy.at(1), 1};
  }

  void run(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders, const int64_t* species,
           const double* vectors, const void* seed, void* output, void* forces, double* virials,
           const int64_t* visits, int threads) override {
    const std::lock_guard<std::mutex> one_at_a_time(mutex_);
    const Topology topology(nodes, edges, receivers, senders);
    check_species(nodes, species);
    const ProgramCall<T> call{species, vectors, static_cast<const T*>(seed), static_cast<T*>(output),
                              static_cast<T*>(forces), virials};
    if (!visits) return execute(topology, call, threads);
    const ProgramCall<T> renumbered = renumbering_.take(topology.view(), visits, call);
    execute(renumbering_.topology(), renumbered, threads);
    renumbering_.give_back(visits, renumbered, call);
  }

  int64_t train_memory(int64_t nodes, int64_t edges) const override {
    const int64_t dim = (program_.lmax + 1) * (program_.lmax + 1);
    return program_.arena * nodes + edges * (3 * dim + 6 + 2 * radial_);
  }

  void train_first(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders,
                   const int64_t* species, const double* vectors, const void* seed, void* memory,
                   void* output, void* gradient, int threads) override {
    const std::lock_guard<std::mutex> one_at_a_time(mutex_);
    const Topology topology(nodes, edges, receivers, senders);
    check_species(nodes, species);
    kernels().of<T>().train_first(
        program_, topology.view(),
        {species, vectors, static_cast<const T*>(seed), static_cast<T*>(output), nullptr, nullptr}, {},
        train_space(nodes, edges, static_cast<T*>(memory), static_cast<T*>(gradient)), threads);
  }

  void train_second(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders,
                    const int64_t* species, void* memory, const void* of_output, const void* of_gradient,
                    void* of_weights, int threads) override {
    const std::lock_guard<std::mutex> one_at_a_time(mutex_);
    const Topology topology(nodes, edges, receivers, senders);
    const TrainCall<T> training{static_cast<const T*>(of_output), static_cast<const T*>(of_gradient), weights_,
                                num_weights_, static_cast<T*>(of_weights)};
    kernels().of<T>().train_second(program_, topology.view(), {species, nullptr, nullptr, nullptr, nullptr, nullptr},
                                   training, train_space(nodes, edges, static_cast<T*>(memory), nullptr), threads);
  }

 private:
  void check_species(int64_t nodes, const int64_t* species) const {
    for (int64_t i = 0; i < nodes; ++i)
      if (species[i] < 0 || species[i] >= program_.num_species)
        throw std::invalid_argument("'species' is " + std::to_string(species[i]) + " at node " + std::to_string(i) +
                                    "; there are " + std::to_string(program_.num_species));
    if (!program_.slots) return;
    for (int64_t i = 0; i < nodes; ++i)
      if (program_.slots[species[i] * (program_.num_species + 1)] < 0)
        throw std::invalid_argument("'species' is " + std::to_string(species[i]) + " at node " + std::to_string(i) +
                                    ", for which there are no radial functions");
  }

  void execute(const Topology& topology, const ProgramCall<T>& call, int threads) {
    const Edges graph = topology.view();
    const int64_t edges = graph.edges, later = call.forces || call.virials ? edges : 0;
    const int dim = (program_.lmax + 1) * (program_.lmax + 1);
    const Workspace<T> space{arena_.reserve(program_.arena * graph.nodes),
                             vectors_.reserve(3 * edges),
                             distances_.reserve(edges),
                             harmonics_.reserve(dim * edges),
                             of_vectors_.reserve(3 * later),
                             of_distances_.reserve(later),
                             of_harmonics_.reserve(dim * later),
                             nodes_.reserve(graph.nodes),
                             order_.reserve(edges),
                             slots_.reserve(program_.slots ? edges : 0),
                             nullptr,
                             nullptr,
                             nullptr,
                             nullptr};
    kernels().of<T>().execute(program_, graph, call, space, threads);
  }

  // The derivatives with respect to the edge vectors are a result, and not read again.
  Workspace<T> train_space(int64_t nodes, int64_t edges, T* memory, T* of_vectors) {
    const int64_t dim = (program_.lmax + 1) * (program_.lmax + 1);
    auto part = [&](int64_t size) {
      T* begin = memory;
      memory += size;
      return begin;
    };
    Workspace<T> space{};
    space.arena = part(program_.arena * nodes);
    space.vectors = part(3 * edges);
    space.distances = part(edges);
    space.harmonics = part(dim * edges);
    space.of_distances = part(edges);
    space.of_harmonics = part(dim * edges);
    space.along_distances = part(edges);
    space.along_harmonics = part(dim * edges);
    space.radial = part(radial_ * edges);
    space.of_radial = part(radial_ * edges);
    space.of_vectors = of_vectors;
    space.nodes = nodes_.reserve(nodes);
    return space;
  }

  Step<T>& add(Kind kind, const Arrays& a) {
    Step<T>& step = steps_.emplace_back();
    step.kind = kind;
    step.in = {a.at(0), int32_t(a.at(1))};
    step.out = {a.at(2), int32_t(a.at(3))};
    step.of_in = {a.at(4), int32_t(a.at(5))};
    step.of_out = {a.at(6), int32_t(a.at(7))};
    if (a.size() > 8) {
      Array* const more[] = {&step.along_in,    &step.along_out, &step.adjoint_in,
                             &step.adjoint_out, &step.message,   &step.along_message};
      for (size_t i = 0; i < 6; ++i) *more[i] = {a.at(8 + 2 * i), int32_t(a.at(9 + 2 * i))};
    }
    return step;
  }

  const T* keep(const double* numbers, int64_t count) {
    if (weights_) return reinterpret_cast<const T*>(numbers);
    return numbers_.emplace_back(numbers, numbers + count).data();
  }

  LinearMap<T> keep(const TermList& list, bool by_species) {
    std::vector<LinearTerm<T>>& terms = terms_.emplace_back();
    for (size_t t = 0; t < list.weights.size(); ++t) {
      const int32_t* n = list.numbers.data() + 6 * t;
      const int64_t size = int64_t(n[1]) * n[3];
      const T* weight =
          keep(reinterpret_cast<const double*>(list.weights[t]), size * (by_species ? program_.num_species : 1));
      terms.push_back({n[0], n[1], n[2], n[3], n[4], n[5] != 0, weight, by_species ? size : 0});
    }
    return {terms.data(), int32_t(terms.size())};
  }

  Program<T> program_;
  const T* weights_;
  int64_t num_weights_;
  std::vector<Step<T>> steps_;
  // (Deques: what a step points to must not move.)
  std::deque<std::vector<T>> numbers_;
  std::deque<std::vector<LinearTerm<T>>> terms_;
  std::deque<std::vector<GateItem<T>>> items_;
  std::deque<std::vector<RadialLayer<T>>> layers_;
  std::deque<std::vector<double>> factors_;
  std::vector<RadialBasis> bases_;
  int64_t radial_ = 0;  // numbers an edge of all radial functions and slopes
  std::deque<Convolution> convolutions_;
  std::deque<ContractionTrees> trees_;
  std::mutex mutex_;
  Buffer<T> arena_, vectors_, distances_, harmonics_, of_vectors_, of_distances_, of_harmonics_;
  Buffer<int64_t> nodes_, order_;
  Buffer<int32_t> slots_;
  Integers slots_of_pairs_;
  Renumbering<T> renumbering_;
};

}  // namespace cynosure
