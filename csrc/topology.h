// The edges of a graph by receiver.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "plan.h"

namespace cynosure {

// Views the senders that it is given: they must outlive it.
class Topology {
 public:
  // Throws std::invalid_argument when an index is not that of a node.
  Topology(int64_t nodes, int64_t edges, const int64_t* receivers, const int64_t* senders)
      : nodes_(nodes), edges_(edges), start_(nodes + 1, 0), senders_(senders) {
    bool sorted = true;
    for (int64_t e = 0; e < edges; ++e) {
      check("receivers", receivers[e], e);
      check("senders", senders[e], e);
      sorted = sorted && (e == 0 || receivers[e - 1] <= receivers[e]);
      ++start_[receivers[e] + 1];
    }
    for (int64_t i = 0; i < nodes; ++i) start_[i + 1] += start_[i];
    if (sorted) return;
    order_.resize(edges);
    std::vector<int64_t> next(start_.begin(), start_.end() - 1);
    for (int64_t e = 0; e < edges; ++e) order_[next[receivers[e]]++] = e;
  }

  Edges view() const { return {nodes_, edges_, start_.data(), order_.empty() ? nullptr : order_.data(), senders_}; }

 private:
  void check(const char* name, int64_t index, int64_t edge) const {
    if (index < 0 || index >= nodes_)
      throw std::invalid_argument("'" + std::string(name) + "' names node " + std::to_string(index) + " at edge " +
                                  std::to_string(edge) + "; there are " + std::to_string(nodes_) + " nodes");
  }

  int64_t nodes_, edges_;
  std::vector<int64_t> start_, order_;
  const int64_t* senders_;
};

}  // namespace cynosure
