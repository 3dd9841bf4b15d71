#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "convolution.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

template <class T>
ConvolveInputs<T> inputs(Address x, Address harmonics, Address radial, Address weight, int64_t basis) {
  return {at<T>(x), at<T>(harmonics), at<T>(radial), at<T>(weight), basis};
}

void forward(const Convolution& convolution, bool single, int64_t nodes, int64_t edges, int64_t basis,
             Address receivers, Address senders, Address x, Address harmonics, Address radial, Address weight,
             Address out, int threads) {
  const Topology topology(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders));
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().convolve_forward(convolution.plan<T>(), topology.view(),
                                   inputs<T>(x, harmonics, radial, weight, basis), at<T>(out), threads);
  });
}

void backward(const Convolution& convolution, bool single, int64_t nodes, int64_t edges, int64_t basis,
              Address receivers, Address senders, Address x, Address harmonics, Address radial, Address weight,
              Address g, Address gx, Address gharmonics, Address gradial, Address gweight, int threads) {
  const Topology topology(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders));
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().convolve_backward(convolution.plan<T>(), topology.view(),
                                    inputs<T>(x, harmonics, radial, weight, basis), at<T>(g),
                                    {at<T>(gx), at<T>(gharmonics), at<T>(gradial), at<T>(gweight)}, threads);
  });
}

void second(const Convolution& convolution, bool single, int64_t nodes, int64_t edges, int64_t basis,
            Address receivers, Address senders, Address x, Address harmonics, Address radial, Address weight, Address g,
            Address ux, Address uharmonics, Address uradial, Address gg, Address gx, Address gradial, Address gweight,
            int threads) {
  const Topology topology(nodes, edges, at<int64_t>(receivers), at<int64_t>(senders));
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().convolve_second(convolution.plan<T>(), topology.view(),
                                  inputs<T>(x, harmonics, radial, weight, basis), at<T>(g),
                                  inputs<T>(ux, uharmonics, uradial, 0, basis),
                                  {at<T>(gg), at<T>(gx), at<T>(gradial), at<T>(gweight)}, threads);
  });
}

}  // namespace

void bind_convolve(nb::module_& module) {
  using Integers = Convolution::Integers;
  using Numbers = Convolution::Numbers;
  nb::class_<Convolution>(module, "Convolution")
      .def(nb::init<int, int, int, int, const Integers&, const Integers&, Integers, Integers, Numbers, Integers,
                    Integers, Numbers>());
  module.def("convolve_forward", &forward);
  module.def("convolve_backward", &backward);
  module.def("convolve_second", &second);
}

}  // namespace cynosure
