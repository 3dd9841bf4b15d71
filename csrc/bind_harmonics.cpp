#include <nanobind/nanobind.h>

#include "bind.h"
#include "kernels.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

void forward(bool single, int lmax, bool normalize, int64_t count, Address vectors, Address y, int threads) {
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().harmonics_forward(lmax, normalize, count, at<T>(vectors), at<T>(y), threads);
  });
}

void backward(bool single, int lmax, bool normalize, int64_t count, Address vectors, Address gy, Address gv,
              int threads) {
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().harmonics_backward(lmax, normalize, count, at<T>(vectors), at<T>(gy), at<T>(gv), threads);
  });
}

void second(bool single, int lmax, bool normalize, int64_t count, Address vectors, Address gy, Address u, Address d_gy,
            Address d_v, int threads) {
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().harmonics_second(lmax, normalize, count, at<T>(vectors), at<T>(gy), at<T>(u), at<T>(d_gy),
                                   at<T>(d_v), threads);
  });
}

}  // namespace

void bind_harmonics(nb::module_& module) {
  module.def("harmonics_forward", &forward);
  module.def("harmonics_backward", &backward);
  module.def("harmonics_second", &second);
}

}  // namespace cynosure
