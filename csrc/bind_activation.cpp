#include <nanobind/nanobind.h>

#include "bind.h"
#include "kernels.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

void along(bool single, int function, double factor, int64_t count, Address x, Address u, Address y, Address uy) {
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().activation_along(Function(function), factor, count, at<T>(x), at<T>(u), at<T>(y), at<T>(uy));
  });
}

void along_backward(bool single, int function, double factor, int64_t count, Address x, Address u, Address g,
                    Address ug, Address gx, Address gu) {
  const Kernels& table = kernels();
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().activation_along_backward(Function(function), factor, count, at<T>(x), at<T>(u), at<T>(g), at<T>(ug),
                                            at<T>(gx), at<T>(gu));
  });
}

}  // namespace

void bind_activation(nb::module_& module) {
  module.def("activation_along", &along);
  module.def("activation_along_backward", &along_backward);
}

}  // namespace cynosure
