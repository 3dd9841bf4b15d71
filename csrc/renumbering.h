// A call on a graph whose nodes are numbered anew, so that near ones follow each other in memory.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "buffer.h"
#include "program.h"
#include "topology.h"

namespace cynosure {

template <class T>
class Renumbering {
 public:
  // The same call where node `visits[i]` has the number i. The result views memory of this object.
  // Throws std::invalid_argument when a node is named twice, or is none.
  ProgramCall<T> take(const Edges& edges, const int64_t* visits, const ProgramCall<T>& call) {
    const int64_t nodes = edges.nodes;
    int64_t* number = number_.reserve(nodes);
    for (int64_t i = 0; i < nodes; ++i) number[i] = -1;
    for (int64_t i = 0; i < nodes; ++i) {
      if (visits[i] < 0 || visits[i] >= nodes || number[visits[i]] >= 0)
        throw std::invalid_argument("'visits' has " + std::to_string(visits[i]) + " at place " + std::to_string(i) +
                                    "; every node from 0 to " + std::to_string(nodes - 1) + " was expected once");
      number[visits[i]] = i;
    }
    int64_t* receivers = receivers_.reserve(edges.edges);
    int64_t* senders = senders_.reserve(edges.edges);
    double* vectors = vectors_.reserve(3 * edges.edges);
    int64_t* species = species_.reserve(nodes);
    T* seed = call.seed ? seed_.reserve(nodes) : nullptr;
    int64_t count = 0;
    for (int64_t i = 0; i < nodes; ++i) {
      const int64_t node = visits[i];
      species[i] = call.species[node];
      if (seed) seed[i] = call.seed[node];
      for (int64_t place = edges.start[node]; place < edges.start[node + 1]; ++place, ++count) {
        const int64_t edge = edges.order ? edges.order[place] : place;
        receivers[count] = i;
        senders[count] = number[edges.senders[edge]];
        for (int a = 0; a < 3; ++a) vectors[3 * count + a] = call.vectors[3 * edge + a];
      }
    }
    topology_.emplace(nodes, edges.edges, receivers, senders);
    return {species, vectors, seed, output_.reserve(nodes), call.forces ? forces_.reserve(3 * nodes) : nullptr,
            call.virials ? virials_.reserve(9 * nodes) : nullptr};
  }

  const Topology& topology() const { return *topology_; }

  // What the renumbered call has found, into the results of the call as it came.
  void give_back(const int64_t* visits, const ProgramCall<T>& renumbered, const ProgramCall<T>& call) const {
    const int64_t nodes = topology_->view().nodes;
    for (int64_t i = 0; i < nodes; ++i) {
      call.output[visits[i]] = renumbered.output[i];
      for (int a = 0; call.forces && a < 3; ++a) call.forces[3 * visits[i] + a] = renumbered.forces[3 * i + a];
      for (int c = 0; call.virials && c < 9; ++c) call.virials[9 * visits[i] + c] = renumbered.virials[9 * i + c];
    }
  }

 private:
  Buffer<int64_t> number_, receivers_, senders_, species_;
  Buffer<double> vectors_, virials_;
  Buffer<T> seed_, output_, forces_;
  std::optional<Topology> topology_;
};

}  // namespace cynosure
