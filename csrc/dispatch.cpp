#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels.h"

namespace cynosure {

// Each of these is defined by kernels.cpp, compiled for it. The first is what every processor of its kind has.
#if defined(__aarch64__) || defined(_M_ARM64)
#define CYNOSURE_BASELINE neon
#else
#define CYNOSURE_BASELINE portable
#endif
namespace CYNOSURE_BASELINE { extern const Kernels kernels; }
#if defined(__x86_64__) || defined(_M_X64)
namespace avx2 { extern const Kernels kernels; }
#ifdef CYNOSURE_AVX512
namespace avx512 { extern const Kernels kernels; }
#endif
#endif

std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_cpu_init();
  const bool avx2_too = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifdef CYNOSURE_AVX512
  if (avx2_too && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    usable.push_back(&avx512::kernels);
#endif
  if (avx2_too) usable.push_back(&avx2::kernels);
#endif
  usable.push_back(&CYNOSURE_BASELINE::kernels);
  return usable;
}

const Kernels& kernels() {
  static const Kernels* chosen = [] {
    const auto usable = usable_kernels();
    const char* wanted = std::getenv("CYNOSURE_ISA");
    if (!wanted || !*wanted) return usable.front();
    std::string names;
    for (const Kernels* candidate : usable) {
      if (std::string(wanted) == candidate->name) return candidate;
      names += (names.empty() ? "" : ", ") + std::string(candidate->name);
    }
    throw std::invalid_argument("the environment variable CYNOSURE_ISA is '" + std::string(wanted) +
                                "'; this processor and build have " + names);
  }();
  return *chosen;
}

}  // namespace cynosure
