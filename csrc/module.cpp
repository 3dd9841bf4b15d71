#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>

#include "kernels.h"

namespace nb = nanobind;

namespace cynosure {
void bind_contraction(nb::module_&);
void bind_convolve(nb::module_&);
void bind_harmonics(nb::module_&);
void bind_orthogonal(nb::module_&);
void bind_program(nb::module_&);
}

NB_MODULE(_core, module) {
  nb::set_leak_warnings(false);  // caches and tracebacks hold plans until the interpreter is gone
  module.doc() = "The compiled core: kernels over raw arrays. Use cynosure.kernels, which checks what goes in.";
  module.def("isa", [] { return std::string(cynosure::kernels().name); });
  module.def("isas", [] {
    std::vector<std::string> names;
    for (const cynosure::Kernels* table : cynosure::usable_kernels()) names.emplace_back(table->name);
    return names;
  });
  module.def(
      "fma_peak",
      [](double seconds, bool single) {
        return single ? cynosure::kernels().single_.fma_peak(seconds) : cynosure::kernels().double_.fma_peak(seconds);
      },
      nb::arg("seconds") = 0.2, nb::arg("single") = true, nb::call_guard<nb::gil_scoped_release>(),
      "GFLOP/s of multiply-adds that one core reaches");
  cynosure::bind_contraction(module);
  cynosure::bind_convolve(module);
  cynosure::bind_harmonics(module);
  cynosure::bind_orthogonal(module);
  cynosure::bind_program(module);
}
