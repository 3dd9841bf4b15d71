// Arrays come from Python as addresses: the Python side of each kernel has checked dtype, shape, device and layout
// by then, and an integer crosses the border in a tenth of the time of an array object.
#pragma once

#include <cstdint>

namespace cynosure {

using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// Calls f.operator()<float>() or <double>().
template <class F>
void with_type(bool single, F&& f) {
  if (single)
    f.template operator()<float>();
  else
    f.template operator()<double>();
}

}  // namespace cynosure
