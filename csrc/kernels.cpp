// Compiled once per instruction set, with its flags and with CYNOSURE_ISA as its namespace. What is not in that
// namespace must not be compiled here into a shared inline function: the linker would keep one copy for all.
#include "contraction.h"
#include "convolve.h"
#include "harmonics.h"
#include "kernels.h"
#include "orthogonal.h"
#include "peak.h"
#include "train.h"

#define CYNOSURE_STRING_(name) #name
#define CYNOSURE_STRING(name) CYNOSURE_STRING_(name)

namespace cynosure::CYNOSURE_ISA {

template <class T>
constexpr KernelsOf<T> table() {
  return {convolve_forward<T>,
          convolve_backward<T>,
          convolve_second<T>,
          harmonics_forward<T>,
          harmonics_backward<T>,
          harmonics_second<T>,
          execute<T>,
          train_first<T>,
          train_second<T>,
          orthogonal<T>,
          contract_all<T>,
          fma_peak<T>};
}

extern const Kernels kernels;
const Kernels kernels{CYNOSURE_STRING(CYNOSURE_ISA), table<float>(), table<double>()};

}  // namespace cynosure::CYNOSURE_ISA
