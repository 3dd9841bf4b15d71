#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "bind.h"
#include "network.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

std::unique_ptr<NetworkBase> make(bool single, int lmax, int num_species, Address weights, int64_t num_weights) {
  if (single) return std::make_unique<Network<float>>(lmax, num_species, at<float>(weights), num_weights);
  return std::make_unique<Network<double>>(lmax, num_species, at<double>(weights), num_weights);
}

using Arrays = NetworkBase::Arrays;
// The numbers and the weights of each of: a map, the map turned round, the same for adjoints.
using Maps = std::vector<std::pair<Integers, Addresses>>;

TermList terms(const Maps& maps, size_t which) { return {maps.at(which).first, maps.at(which).second}; }

void embed(NetworkBase& network, const Arrays& arrays, Address table) { network.embed(arrays, at<double>(table)); }

void linear(NetworkBase& network, const Arrays& arrays, bool by_species, const Maps& maps) {
  network.linear(arrays, by_species, terms(maps, 0), terms(maps, 1), terms(maps, 2));
}

void convolve(NetworkBase& network, const Arrays& arrays, const Convolution& convolution, Address weight,
              int tables, int intervals, int basis, double step, const Maps& maps) {
  network.convolve(arrays, convolution, at<double>(weight), tables, intervals, basis, step, terms(maps, 0),
                   terms(maps, 1), terms(maps, 2));
}

void radial(NetworkBase& network, int kind, int power, double cutoff, const std::vector<double>& factors, int function,
            double factor, const Integers& sizes, const Addresses& weights) {
  network.radial(BasisKind(kind), power, cutoff, factors, Function(function), factor, sizes, weights);
}

void contract(NetworkBase& network, const Arrays& arrays, const ContractionTrees& trees, Address coefficients) {
  network.contract(arrays, trees, at<double>(coefficients));
}

void run(NetworkBase& network, int64_t nodes, int64_t edges, Address receivers, Address senders, Address species,
         Address vectors, Address seed, Address output, Address forces, Address virials, Address visits,
         int threads) {
  nb::gil_scoped_release release;
  network.run(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders), at<int64_t>(species), at<double>(vectors),
              at<void>(seed), at<void>(output), at<void>(forces), at<double>(virials), at<int64_t>(visits),
              threads);
}

void train_first(NetworkBase& network, int64_t nodes, int64_t edges, Address receivers, Address senders,
                 Address species, Address vectors, Address seed, Address memory, Address output,
                 Address gradient, int threads) {
  nb::gil_scoped_release release;
  network.train_first(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders), at<int64_t>(species),
                      at<double>(vectors), at<void>(seed), at<void>(memory), at<void>(output), at<void>(gradient),
                      threads);
}

void train_second(NetworkBase& network, int64_t nodes, int64_t edges, Address receivers, Address senders,
                  Address species, Address memory, Address of_output, Address of_gradient, Address of_weights,
                  int threads) {
  nb::gil_scoped_release release;
  network.train_second(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders), at<int64_t>(species),
                       at<void>(memory), at<void>(of_output), at<void>(of_gradient), at<void>(of_weights), threads);
}

}  // namespace

void bind_program(nb::module_& module) {
  nb::class_<NetworkBase>(module, "Network")
      .def("embed", &embed)
      .def("linear", &linear)
      .def("convolve", &convolve)
      .def("radial", &radial)
      .def("contract", &contract)
      .def("gate", &NetworkBase::gate)
      .def("pairs", &NetworkBase::pairs)
      .def("finish", &NetworkBase::finish)
      .def("run", &run)
      .def("train_memory", &NetworkBase::train_memory)
      .def("train_first", &train_first)
      .def("train_second", &train_second);
  module.def("network", &make, nb::arg("single"), nb::arg("lmax"), nb::arg("num_species"), nb::arg("weights") = 0,
             nb::arg("num_weights") = 0);
}

}  // namespace cynosure
