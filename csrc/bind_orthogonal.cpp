#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "bind.h"
#include "kernels.h"

namespace nb = nanobind;

namespace cynosure {
namespace {

void orthogonal(bool single, double a, double b, double c, int rounds, const std::vector<int32_t>& rows,
                const std::vector<int32_t>& columns, const std::vector<double>& factors,
                const std::vector<Address>& from, const std::vector<Address>& to, int threads) {
  const Kernels& table = kernels();
  std::vector<MatrixCall> calls;
  for (size_t i = 0; i < rows.size(); ++i)
    calls.push_back({rows[i], columns.at(i), factors.at(i), at<void>(from.at(i)), at<void>(to.at(i))});
  nb::gil_scoped_release release;
  with_type(single, [&]<class T>() {
    table.of<T>().orthogonal({a, b, c, rounds}, calls.data(), long(calls.size()), threads);
  });
}

}  // namespace

void bind_orthogonal(nb::module_& module) { module.def("orthogonal", &orthogonal); }

}  // namespace cynosure
