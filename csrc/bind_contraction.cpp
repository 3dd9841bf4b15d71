#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "bind.h"
#include "contraction_trees.h"
#include "kernels.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

// The nodes of species 0, then those of species 1, and so on.
std::vector<int64_t> by_species(int64_t nodes, int64_t num_species, const int64_t* species) {
  std::vector<int64_t> start(num_species + 1), order(nodes);
  for (int64_t i = 0; i < nodes; ++i) {
    if (species[i] < 0 || species[i] >= num_species)
      throw std::invalid_argument("'species' is " + std::to_string(species[i]) + " at node " + std::to_string(i) +
                                  "; there are " + std::to_string(num_species));
    ++start[species[i] + 1];
  }
  for (int64_t s = 0; s < num_species; ++s) start[s + 1] += start[s];
  for (int64_t i = 0; i < nodes; ++i) order[start[species[i]]++] = i;
  return order;
}

void contract(const ContractionTrees& trees, bool single, int64_t nodes, int64_t num_species, Address species,
              Address x, Address ux, Address coefficients, Address ucoefficients, Address g, Address out, Address of_x,
              Address of_coefficients, int threads) {
  const std::vector<int64_t> order = by_species(nodes, num_species, at<int64_t>(species));
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().contract_all(trees.plan(),
                               {nodes, num_species, at<int64_t>(species), order.data(), at<T>(x), at<T>(ux),
                                at<T>(coefficients), at<T>(ucoefficients), at<T>(g), at<T>(out), at<T>(of_x),
                                at<T>(of_coefficients)},
                               threads);
  });
}

}  // namespace

void bind_contraction(nb::module_& module) {
  using Integers = ContractionTrees::Integers;
  nb::class_<ContractionTrees>(module, "ContractionTrees")
      .def(nb::init<int, int, Integers, Integers, Integers, Integers>());
  module.def("contract", &contract);
}

}  // namespace cynosure
