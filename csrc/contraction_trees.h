// The polynomials of a symmetric contraction with the memory behind them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "contraction_plan.h"

namespace cynosure {

class ContractionTrees {
 public:
  using Integers = std::vector<int32_t>;

  ContractionTrees(int dim_in, int channels, Integers variable, Integers leaves, Integers children, Integers roots)
      : dim_in_(dim_in),
        channels_(channels),
        variable_(std::move(variable)),
        leaves_(std::move(leaves)),
        children_(std::move(children)),
        roots_(std::move(roots)) {}

  ContractionPlan plan() const {
    return {dim_in_,          int32_t(roots_.size()), channels_,        int32_t(variable_.size()),
            variable_.data(), leaves_.data(),         children_.data(), roots_.data()};
  }

 private:
  int32_t dim_in_, channels_;
  Integers variable_, leaves_, children_, roots_;
};

}  // namespace cynosure
