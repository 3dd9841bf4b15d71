// A convolution's plan with the memory behind it, in both precisions.
#pragma once

#include <stdexcept>
#include <tuple>
#include <vector>

#include "kernels.h"
#include "topology.h"

namespace cynosure {

class Convolution {
 public:
  using Integers = std::vector<int32_t>;
  using Numbers = std::vector<double>;

  // `paths` and `groups` have seven and six numbers an element, in the order of Path and Group.
  Convolution(int dim_x, int dim_edge, int dim_out, int num_weights, const Integers& paths, const Integers& groups,
              Integers first, Integers component, Numbers value, Integers number, Integers element,
              Numbers number_value)
      : first_(std::move(first)),
        component_(std::move(component)),
        number_(std::move(number)),
        element_(std::move(element)),
        value_(std::move(value)),
        number_value_(std::move(number_value)),
        value_single_(value_.begin(), value_.end()),
        number_value_single_(number_value_.begin(), number_value_.end()) {
    for (size_t p = 0; p + 7 <= paths.size(); p += 7)
      paths_.push_back({paths[p], paths[p + 1], paths[p + 2], paths[p + 3], paths[p + 4], paths[p + 5], paths[p + 6]});
    int32_t most = 0;
    for (size_t g = 0; g + 6 <= groups.size(); g += 6) {
      groups_.push_back({groups[g], groups[g + 1], groups[g + 2], groups[g + 3], groups[g + 4], groups[g + 5]});
      most = std::max(most, groups_.back().channels * groups_.back().num_paths);
    }
    sizes_ = {dim_x, dim_edge, dim_out, num_weights, most};
  }

  template <class T>
  Plan<T> plan() const {
    const T *value, *number_value;
    if constexpr (sizeof(T) == 4) {
      value = value_single_.data();
      number_value = number_value_single_.data();
    } else {
      value = value_.data();
      number_value = number_value_.data();
    }
    return {sizes_[0],
            sizes_[1],
            sizes_[2],
            sizes_[3],
            int32_t(groups_.size()),
            int32_t(first_.size()) - 1,
            sizes_[4],
            paths_.data(),
            groups_.data(),
            {first_.data(), component_.data(), value, number_.data(), element_.data(), number_value}};
  }

 private:
  std::vector<Path> paths_;
  std::vector<Group> groups_;
  Integers first_, component_, number_, element_;
  Numbers value_, number_value_;
  std::vector<float> value_single_, number_value_single_;
  Integers sizes_;
};

}  // namespace cynosure
