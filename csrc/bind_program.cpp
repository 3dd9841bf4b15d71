#include <nanobind/nanobind.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "bind.h"
#include "network.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

std::unique_ptr<NetworkBase> make(bool single, int lmax, int num_species) {
  if (single) return std::make_unique<Network<float>>(lmax, num_species);
  return std::make_unique<Network<double>>(lmax, num_species);
}

using Arrays = NetworkBase::Arrays;
using Weights = std::vector<uintptr_t>;

void embed(NetworkBase& network, const Arrays& arrays, Address table) { network.embed(arrays, at<double>(table)); }

void linear(NetworkBase& network, const Arrays& arrays, bool by_species, Integers terms, Weights weights,
            Integers transposed_terms, Weights transposed_weights) {
  network.linear(arrays, by_species, {std::move(terms), std::move(weights)},
                 {std::move(transposed_terms), std::move(transposed_weights)});
}

void convolve(NetworkBase& network, const Arrays& arrays, const Convolution& convolution, Address weight,
              int intervals, int basis, double step, Integers terms, Weights weights, Integers transposed_terms,
              Weights transposed_weights) {
  network.convolve(arrays, convolution, at<double>(weight), intervals, basis, step,
                   {std::move(terms), std::move(weights)},
                   {std::move(transposed_terms), std::move(transposed_weights)});
}

void run(NetworkBase& network, int64_t nodes, int64_t edges, Address receivers, Address senders, Address species,
         Address vectors, Address seed, Address output, Address forces, Address virials, int threads) {
  nb::gil_scoped_release release;
  network.run(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders), at<int64_t>(species), at<double>(vectors),
              at<void>(seed), at<void>(output), at<void>(forces), at<double>(virials), threads);
}

}  // namespace

void bind_program(nb::module_& module) {
  nb::class_<NetworkBase>(module, "Network")
      .def("embed", &embed)
      .def("linear", &linear)
      .def("convolve", &convolve)
      .def("gate", &NetworkBase::gate)
      .def("finish", &NetworkBase::finish)
      .def("run", &run);
  module.def("network", &make, nb::arg("single"), nb::arg("lmax"), nb::arg("num_species"));
}

}  // namespace cynosure
