// The kernels as a table of functions, one table per instruction set.
#pragma once

#include <vector>

#include "contraction_plan.h"
#include "orthogonal_call.h"
#include "plan.h"
#include "program.h"

namespace cynosure {

template <class T>
struct KernelsOf {
  void (*convolve_forward)(const Plan<T>&, const Edges&, const ConvolveInputs<T>&, T* out, int threads);
  void (*convolve_backward)(const Plan<T>&, const Edges&, const ConvolveInputs<T>&, const T* g,
                            const ConvolveGradients<T>&, int threads);
  void (*convolve_second)(const Plan<T>&, const Edges&, const ConvolveInputs<T>&, const T* g,
                          const ConvolveInputs<T>& direction, const SecondGradients<T>&, int threads);
  // Of harmonics.h.
  void (*harmonics_forward)(int lmax, bool normalize, long count, const T* vectors, T* y, int threads);
  void (*harmonics_backward)(int lmax, bool normalize, long count, const T* vectors, const T* gy, T* gv, int threads);
  void (*harmonics_second)(int lmax, bool normalize, long count, const T* vectors, const T* gy, const T* u, T* d_gy,
                           T* d_v, int threads);
  // Of execute.h and train.h.
  void (*execute)(const Program<T>&, const Edges&, const ProgramCall<T>&, const Workspace<T>&, int threads);
  void (*train_first)(const Program<T>&, const Edges&, const ProgramCall<T>&, const TrainCall<T>&, const Workspace<T>&,
                      int threads);
  void (*train_second)(const Program<T>&, const Edges&, const ProgramCall<T>&, const TrainCall<T>&, const Workspace<T>&,
                       int threads);
  // Of orthogonal.h.
  void (*orthogonal)(const Iteration&, const MatrixCall*, long count, int threads);
  // Of contraction.h.
  void (*contract_all)(const ContractionPlan&, const ContractionNodes<T>&, int threads);
  // GFLOP/s of independent multiply-adds on one core, for about this many seconds.
  double (*fma_peak)(double seconds);
};

struct Kernels {
  const char* name;
  KernelsOf<float> single_;
  KernelsOf<double> double_;

  template <class T>
  const KernelsOf<T>& of() const {
    if constexpr (sizeof(T) == 4)
      return single_;
    else
      return double_;
  }
};

// Those that were compiled and that this processor runs, best first.
std::vector<const Kernels*> usable_kernels();
// The table in use: the best one, or the one that the environment variable CYNOSURE_ISA names.
// Throws std::invalid_argument when it names none of the usable ones.
const Kernels& kernels();

}  // namespace cynosure
