// A vector of the widest kind that the target has, in the compiler's own vector extension (GCC and Clang), so
// that one source serves AVX-512, AVX2, NEON and everything else. Each instruction set compiles the kernels
// into a namespace of its own (CYNOSURE_ISA), which keeps their inline functions apart at link time.
#pragma once

#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#ifndef CYNOSURE_ISA
#error "define CYNOSURE_ISA, the namespace of this instruction set"
#endif

#if defined(__AVX512F__)
#define CYNOSURE_VECTOR_BYTES 64
#elif defined(__AVX__)
#define CYNOSURE_VECTOR_BYTES 32
#else
#define CYNOSURE_VECTOR_BYTES 16
#endif

#define CYNOSURE_INLINE inline __attribute__((always_inline))

namespace cynosure::CYNOSURE_ISA {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(CYNOSURE_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(CYNOSURE_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
constexpr int lanes = CYNOSURE_VECTOR_BYTES / int(sizeof(T));

template <class T>
CYNOSURE_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}

template <class T>
CYNOSURE_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}

// The first n lanes, zero beyond; 0 < n <= lanes. Nothing past p[n - 1] is read.
template <class T>
CYNOSURE_INLINE Vec<T> load_first(const T* p, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#else
  Vec<T> v{};
  std::memcpy(&v, p, n * sizeof(T));
  return v;
#endif
}

// Writes the first n lanes and nothing past p[n - 1].
template <class T>
CYNOSURE_INLINE void store_first(T* p, Vec<T> v, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#else
  std::memcpy(p, &v, n * sizeof(T));
#endif
}

template <class T>
CYNOSURE_INLINE T sum_of_lanes(Vec<T> v) {
  // Halves, not a running sum: the order is the same at every call, and the compiler sees shuffles.
  T part[lanes<T>];
  std::memcpy(part, &v, sizeof v);
  for (int width = lanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  return part[0];
}

}  // namespace cynosure::CYNOSURE_ISA
