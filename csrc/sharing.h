// How threads share a graph: receivers in ranges, and what belongs to another range collected aside.
#pragma once

#include <omp.h>

#include <cstdlib>

#include "plan.h"

namespace cynosure::CYNOSURE_ISA {

// Scratch memory of one thread, aligned for vectors. (Not std::vector: its code would be shared between
// instruction sets by the linker.)
template <class T>
class Scratch {
 public:
  explicit Scratch(long size) : data_(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) + 127) / 64 * 64))) {}
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

struct Range {
  long begin, end;
};

// The receivers of a thread: consecutive, with about the same number of edges (and nodes) as those of the others.
inline Range receivers_of(const Edges& edges, int thread, int threads) {
  const long work = edges.edges + edges.nodes;
  auto cut = [&](int t) {
    if (t <= 0) return 0L;
    if (t >= threads) return long(edges.nodes);
    long low = 0, high = edges.nodes;
    while (low < high) {
      const long middle = (low + high) / 2;
      if ((edges.start[middle] + middle) * threads < work * t)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  };
  return {cut(thread), cut(thread + 1)};
}

// Rows of senders that belong to another thread's range, collected in memory of this thread's own.
template <class T>
struct Halo {
  long dim = 0, count = 0;
  int32_t* slot = nullptr;  // [nodes], -1 where a node has none
  long* node = nullptr;     // [count]
  T* rows = nullptr;        // [count, dim]
  ~Halo() {
    std::free(slot);
    std::free(node);
    std::free(rows);
  }
  Halo() = default;
  Halo(const Halo&) = delete;
  Halo& operator=(const Halo&) = delete;
  // Finds the senders of these receivers' edges that are elsewhere; rows are up to `width` wide.
  void collect(const Edges& edges, Range mine, long width) {
    slot = static_cast<int32_t*>(std::malloc(edges.nodes * sizeof(int32_t)));
    for (long i = 0; i < edges.nodes; ++i) slot[i] = -1;
    const long begin = edges.start[mine.begin], end = edges.start[mine.end];
    const long most = end - begin < edges.nodes ? end - begin : edges.nodes;
    node = static_cast<long*>(std::malloc((most + 1) * sizeof(long)));
    for (long e = begin; e < end; ++e) {
      const long sender = edges.senders[edges.order ? edges.order[e] : e];
      if ((sender < mine.begin || sender >= mine.end) && slot[sender] < 0) {
        slot[sender] = int32_t(count);
        node[count++] = sender;
      }
    }
    rows = static_cast<T*>(std::malloc((count * width + 1) * sizeof(T)));
  }
  void clear(long width) {
    dim = width;
    for (long c = 0; c < count * dim; ++c) rows[c] = T(0);
  }
  // Where the derivative of an edge's sender is added up: in x, if it is this thread's own.
  T* row(long sender, Range mine, T* x) const {
    return sender >= mine.begin && sender < mine.end ? x + sender * dim : rows + slot[sender] * dim;
  }
};

// Adds to the rows of x that are this thread's what all threads collected for them, in the order of threads.
template <class T>
void add_halos(const Halo<T>* halos, int team, Range mine, T* x) {
  for (int other = 0; other < team; ++other) {
    const Halo<T>& halo = halos[other];
    for (long s = 0; s < halo.count; ++s) {
      const long node = halo.node[s];
      if (node < mine.begin || node >= mine.end) continue;
      T* to = x + node * halo.dim;
      const T* from = halo.rows + s * halo.dim;
      for (long c = 0; c < halo.dim; ++c) to[c] += from[c];
    }
  }
}

}  // namespace cynosure::CYNOSURE_ISA
