// Memory that is kept between calls.
#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>

namespace cynosure {

// Memory that grows, aligned for vectors, and is never given back before the end. What it held is lost by growing.
template <class T>
class Buffer {
 public:
  ~Buffer() { std::free(data_); }
  T* reserve(int64_t size) {
    if (size > capacity_) {
      std::free(data_);
      capacity_ = 0;
      const size_t unit = size_t(size) * sizeof(T) < huge_page ? 64 : huge_page;
      const size_t bytes = (size_t(size) * sizeof(T) + unit) / unit * unit;
#ifdef _WIN32
      data_ = static_cast<T*>(std::malloc(bytes));
#else
      data_ = static_cast<T*>(std::aligned_alloc(unit, bytes));
#endif
#ifdef __linux__
      // Rows of neighbours lie all over a large array: with small pages every one is a miss of the page table's cache.
      if (data_ && unit == huge_page) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
      if (!data_) throw std::bad_alloc();
      capacity_ = size;
    }
    return data_;
  }

 private:
  static constexpr size_t huge_page = size_t(1) << 21;
  T* data_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace cynosure
