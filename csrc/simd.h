// A vector of the widest kind that the target has, in the compiler's own vector extension (GCC and Clang), so
// that one source serves AVX-512, AVX2, NEON and everything else. Each instruction set compiles the kernels
// into a namespace of its own (CYNOSURE_ISA), which keeps their inline functions apart at link time.
#pragma once

#include <cstring>
#include <utility>

#if defined(__AVX__)
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
// The same for a lambda, after its parameters.
#define CYNOSURE_INLINED __attribute__((always_inline))

namespace cynosure::CYNOSURE_ISA {

// A number in a type, so that an unrolled loop's index is a constant of its body.
template <int I>
struct Index {
  static constexpr int value = I;
  CYNOSURE_INLINE constexpr operator int() const { return I; }
};

// f(0) ... f(n - 1); with N > 0 (n is not looked at) unrolled, so that arrays that f indexes become registers. Bodies
// are lambdas with the attribute CYNOSURE_INLINED: without it their captures stay in memory.
template <int N, class F>
CYNOSURE_INLINE void each([[maybe_unused]] int n, F&& f) {
  if constexpr (N > 0)
    [&]<int... I>(std::integer_sequence<int, I...>) CYNOSURE_INLINED {
      (f(Index<I>{}), ...);
    }(std::make_integer_sequence<int, N>{});
  else
    for (int i = 0; i < n; ++i) f(i);
}

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(CYNOSURE_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(CYNOSURE_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
using Vec = typename VectorOf<T>::type;

// Vectors that the processor holds.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int registers = 32;
#else
constexpr int registers = 16;
#endif

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

#if defined(__AVX__) && !defined(__AVX512F__)
// All bits of the first n lanes.
template <class T>
CYNOSURE_INLINE __m256i first_lanes(int n) {
  if constexpr (sizeof(T) == 4) {
    typedef int Lanes __attribute__((vector_size(32)));
    return (__m256i)(Lanes{0, 1, 2, 3, 4, 5, 6, 7} < n);
  } else {
    typedef long long Lanes __attribute__((vector_size(32)));
    return (__m256i)(Lanes{0, 1, 2, 3} < (long long)n);
  }
}
#endif

// The first n lanes, zero beyond; 0 < n <= lanes. Nothing past p[n - 1] is read.
template <class T>
CYNOSURE_INLINE Vec<T> load_first(const T* p, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif defined(__AVX__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(p, first_lanes<T>(n));
  else
    return (Vec<T>)_mm256_maskload_pd(p, first_lanes<T>(n));
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
#elif defined(__AVX__)
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, first_lanes<T>(n), (__m256)v);
  else
    _mm256_maskstore_pd(p, first_lanes<T>(n), (__m256d)v);
#else
  std::memcpy(p, &v, n * sizeof(T));
#endif
}

// A whole vector, or its first lanes.
template <class T, bool TAIL>
CYNOSURE_INLINE Vec<T> get(const T* p, int tail) {
  if constexpr (TAIL)
    return load_first<T>(p, tail);
  else
    return load<T>(p);
}

template <class T, bool TAIL>
CYNOSURE_INLINE void put(T* p, Vec<T> v, int tail) {
  if constexpr (TAIL)
    store_first<T>(p, v, tail);
  else
    store<T>(p, v);
}

// A vector that is used several times: stays in its register. (GCC would rather read it again from where it came from,
// an operand in memory of each use; loads are as dear as multiply-adds.)
template <class V>
CYNOSURE_INLINE V kept(V v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// Loads that follow stay behind. (GCC would rather do those that all branches have in common before it branches, for
// which there are no registers.)
CYNOSURE_INLINE void loads_begin() { asm volatile("" : : : "memory"); }

// The even lanes of a, then those of b; and the odd ones.
template <class V, int... I>
CYNOSURE_INLINE V even_lanes(V a, V b, std::integer_sequence<int, I...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, 2 * I...);
#else
  typedef decltype(a < b) Mask;
  return __builtin_shuffle(a, b, Mask{2 * I...});
#endif
}

template <class V, int... I>
CYNOSURE_INLINE V odd_lanes(V a, V b, std::integer_sequence<int, I...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, 2 * I + 1 ...);
#else
  typedef decltype(a < b) Mask;
  return __builtin_shuffle(a, b, Mask{2 * I + 1 ...});
#endif
}

// Lane i of the result is the sum of the lanes of v[i], in pairs, not one after the other: the same at every call.
template <class T, int COUNT = lanes<T>>
CYNOSURE_INLINE Vec<T> sums_of_lanes(const Vec<T>* v) {
  if constexpr (COUNT == 1) {
    return v[0];
  } else {
    constexpr std::make_integer_sequence<int, lanes<T>> all{};
    Vec<T> pairs[COUNT / 2];
    each<COUNT / 2>(0, [&](auto i) CYNOSURE_INLINED {
      pairs[i] = even_lanes(v[2 * i], v[2 * i + 1], all) + odd_lanes(v[2 * i], v[2 * i + 1], all);
    });
    return sums_of_lanes<T, COUNT / 2>(pairs);
  }
}

}  // namespace cynosure::CYNOSURE_ISA
