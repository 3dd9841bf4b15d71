// The derivatives of a loss on energies and forces with respect to every weight of a program.
//
// Let f_i be the network's outputs and G_e the derivatives of Phi = sum_i seed_i f_i with respect to the edge vectors,
// from which forces and stress follow. A loss with dL/df_i = a_i and dL/dG_e = v_e has the derivative
//
//   dL/dW = sum_i a_i df_i/dW + d/dW (derivative of Phi along v)
//
// since the order of the two derivatives does not matter. Hence:
//
// 1. The first pass: f and G (execute.h), every array kept; those of the derivatives of Phi are `of_in`, `of_out`.
// 2. Forward once more, for the derivatives `along` v of all values.
// 3. Backward, for `adjoint` = d/dvalue of [sum a_i f_i + derivative of Phi along v], and the derivatives with respect
//    to weights on the way. The other half of the adjoints, those with respect to the values' derivatives along v, are
//    of_in and of_out: they are known from the first pass.
#pragma once

#include "execute.h"
#include "radial.h"

namespace cynosure::CYNOSURE_ISA {

template <class T>
class Training : public Run<T> {
 public:
  using Run<T>::Run;

  void first() {
    this->geometry();
    over_radial([&](RadialWork<T>& work, const Step<T>& step, long first, int count) {
      T* radial = this->space_.radial + this->edges_.edges * step.radial_place + first * step.basis;
      work.forward(step.radial, this->space_.distances + first, count, radial,
                   radial + this->edges_.edges * step.basis);
    });
    this->meet();
    this->network();
  }

  // `of_weights` is this thread's own.
  void second(T* of_weights) {
    of_weights_ = of_weights;
    for (int64_t c = 0; c < this->training_.num_weights; ++c) of_weights[c] = T(0);
    edges_along();
    this->meet();
    this->over_segments([&](const Step<T>& step, Tile tile) { along(step, tile); });
    const Step<T>& last = this->program_.steps[this->program_.num_steps - 1];
    for (long i = this->mine_.begin; i < this->mine_.end; ++i)
      *this->row(last.adjoint_out, i) = this->training_.of_output[i];
    this->back_over_segments(&Step<T>::adjoint_in, [&](const Step<T>& step, Tile tile) { adjoint(step, tile); });
    this->meet();
    over_radial([&](RadialWork<T>& work, const Step<T>& step, long first, int count) {
      const T* of_radial = this->space_.of_radial + this->edges_.edges * step.radial_place + first * step.basis;
      work.backward(step.radial, this->space_.distances + first, count, of_radial,
                    of_radial + this->edges_.edges * step.basis, this->training_.weights, of_weights_);
    });
  }

 private:
  // f(work, convolution, first edge, edges), a few of this thread's edges at a time.
  template <class F>
  void over_radial(F&& f) const {
    RadialWork<T> work(this->program_);
    const Range range = this->my_edges();
    for (long first = range.begin; first < range.end; first += tile_edges)
      for (int s = 0; s < this->program_.num_steps; ++s)
        if (this->program_.steps[s].kind == Kind::convolve)
          f(work, this->program_.steps[s], first,
            int(range.end - first < tile_edges ? range.end - first : tile_edges));
  }

  void edges_along() {
    const Range range = this->my_edges();
    const int dim = harmonics_dim(this->program_.lmax);
    const Workspace<T>& space = this->space_;
    const T* v = this->training_.of_gradient;
    for (long e = range.begin; e < range.end; ++e) {
      T along = 0;
      for (int a = 0; a < 3; ++a) along += space.vectors[3 * e + a] * v[3 * e + a];
      space.along_distances[e] = space.distances[e] > T(0) ? along / space.distances[e] : T(0);
    }
    harmonics_second<T>(this->program_.lmax, true, range.end - range.begin, space.vectors + 3 * range.begin, nullptr,
                        v + 3 * range.begin, space.along_harmonics + dim * range.begin, nullptr, 1);
  }

  void along(const Step<T>& step, Tile tile) {
    if (!step.along_out.dim) return;
    switch (step.kind) {
      case Kind::embed: return;
      case Kind::linear:
        if (step.along_in.dim) return this->apply(step.map, step.by_species, tile, step.along_in, step.along_out);
        // What the source adds does not move; what it would be first to write is zero.
        for (int t = 0; t < step.map.num_terms; ++t) {
          const LinearTerm<T>& term = step.map.terms[t];
          if (term.add) continue;
          this->over_nodes(tile, [&](long i) {
            for (long c = 0; c < long(term.dim) * term.out_channels; ++c)
              this->row(step.along_out, i)[term.out + c] = T(0);
          });
        }
        return;
      case Kind::convolve: return convolve_along(step, tile);
      case Kind::contract:
        return this->contractions(step, tile, step.in, step.along_in, {}, {}, step.along_out,
                                  [&](auto& call, Tile some, T* const* to) {
                                    contract<T>(step.contraction, call, some.count, to, 0, step.contraction.channels);
                                  });
      case Kind::gate:
        return this->over_nodes(tile, [&](long i) {
          for (int k = 0; k < step.num_items; ++k)
            gate_along<T>(step.items[k], this->row(step.in, i), this->row(step.along_in, i),
                          this->row(step.along_out, i));
        });
    }
  }

  void adjoint(const Step<T>& step, Tile tile) {
    switch (step.kind) {
      case Kind::embed:
        return this->over_nodes(tile, [&](long i) {
          T* to = of_weights_ + (step.table - this->training_.weights) + this->call_.species[i] * step.out.dim;
          for (long c = 0; c < step.out.dim; ++c) to[c] += this->row(step.adjoint_out, i)[c];
        });
      case Kind::linear:
        outer(step, tile, step.in, step.adjoint_out);
        if (step.along_in.dim) outer(step, tile, step.along_in, step.of_out);
        return this->apply(step.adjoint_map, step.by_species, tile, step.adjoint_out, step.adjoint_in);
      case Kind::convolve: return convolve_adjoint(step, tile);
      case Kind::contract:
        return this->contractions(
            step, tile, step.in, step.along_in, step.of_out, step.adjoint_out, step.adjoint_in,
            [&](auto& call, Tile some, T* const* to) {
              call.of_x = to;
              call.of_coefficients = of_weights_ + (call.coefficients - this->training_.weights);
              contract_back<T>(step.contraction, call, some.count, 0, step.contraction.channels);
            });
      case Kind::gate:
        return this->over_nodes(tile, [&](long i) {
          for (int k = 0; k < step.num_items; ++k)
            gate_second<T>(step.items[k], this->row(step.in, i), this->row(step.along_in, i), this->row(step.of_out, i),
                           this->row(step.adjoint_out, i), this->row(step.adjoint_in, i));
        });
    }
  }

  void outer(const Step<T>& step, Tile tile, const Array& in, const Array& g) {
    const T *from[tile_nodes], *by[tile_nodes];
    this->over_species(step.by_species, tile, [&](int64_t species, Tile some) {
      for (int r = 0; r < some.count; ++r) {
        from[r] = this->row(in, some.nodes[r]);
        by[r] = this->row(g, some.nodes[r]);
      }
      linear_outer<T>(step.map, species, some.count, from, by, this->training_.weights, of_weights_);
    });
  }

  // The direction of a convolution's arguments, for the edges of a chunk. Rows of radial functions and of weights come
  // twice, those of the edges and behind them those along the direction: a matrix product does both at once.
  struct Along {
    Scratch<T> matrix, radial, weight, gweight, still;
    const T* x[chunk];
    explicit Along(const Step<T>& step)
        : matrix(long(step.plan.num_entries) * chunk),
          radial(2L * step.basis * chunk),
          weight(2L * step.plan.max_weights * chunk),
          gweight(2L * step.plan.max_weights * chunk),
          still(step.plan.dim_x) {
      for (long c = 0; c < step.plan.dim_x; ++c) still[c] = T(0);
    }
  };

  void take(ChunkWork<T>& work, Along& u, const Step<T>& step, const ConvolveInputs<T>& in, long first, int count) {
    work.take(first, count, in);
    work.contract(this->space_.along_harmonics, u.matrix);
    for (int e = 0; e < count; ++e) {
      const long edge = work.edge[e];
      u.x[e] = step.along_in.dim ? this->row(step.along_in, this->edges_.senders[edge]) : u.still;
      const T along = this->space_.along_distances[edge];
      for (long b = 0; b < in.basis; ++b) {
        u.radial[e * in.basis + b] = work.radial[e * in.basis + b];
        u.radial[(count + e) * in.basis + b] = along * in.slopes[edge * in.basis + b];
      }
    }
  }

  static void mix(const ChunkWork<T>& work, Along& u, const ConvolveInputs<T>& in, const Group& group) {
    const long row = long(group.num_paths) * group.channels;
    gemm<T>(2 * work.count, row,
            {in.basis, u.radial, in.basis, 1, in.weight + group.weight_offset, work.plan.num_weights, u.weight, row,
             false});
  }

  void convolve_along(const Step<T>& step, Tile tile) {
    const ConvolveInputs<T> in = this->inputs(step);
    ChunkWork<T> work(step.plan, this->edges_, in);
    Along u(step);
    const T* from[message_nodes];
    T* to[message_nodes];
    this->over_messages(tile, [&](Tile some) {
      for (int r = 0; r < some.count; ++r) {
        T* message = this->row(step.along_message, some.nodes[r]);
        receive_along(work, u, step, in, some.nodes[r], message);
        from[r] = message;
        to[r] = this->row(step.along_out, some.nodes[r]);
      }
      linear<T>(step.map, 0, some.count, from, to);
    });
  }

  void receive_along(ChunkWork<T>& work, Along& u, const Step<T>& step, const ConvolveInputs<T>& in, long receiver,
                     T* row) {
    const Plan<T>& plan = step.plan;
    long first = this->edges_.start[receiver];
    const long last = this->edges_.start[receiver + 1];
    if (first == last)
      for (int c = 0; c < plan.dim_out; ++c) row[c] = T(0);
    for (bool fresh = true; first < last; first += chunk, fresh = false) {
      take(work, u, step, in, first, int(last - first < chunk ? last - first : chunk));
      for (int b = 0; b < plan.num_groups; ++b) {
        const Group& group = plan.groups[b];
        mix(work, u, in, group);
        over_single_channels<T>(group.channels, [&]<bool TAIL>(long c, int tail) {
          for (int q = 0; q < group.num_paths; ++q) {
            const Path& path = plan.paths[group.first_path + q];
            PathChunk<T> here = work.at(group, q, c, row, nullptr, fresh);
            here.weight = u.weight + q * long(group.channels) + c;
            const Direction<T> direction{u.x, u.matrix + long(path.entry) * chunk,
                                         here.weight + work.count * here.weight_row};
            with_shape_of(group, path, [&]<class SHAPE>() { product_along<T, SHAPE, TAIL>(here, direction, tail); });
          }
        });
      }
    }
  }

  void convolve_adjoint(const Step<T>& step, Tile tile) {
    const ConvolveInputs<T> in = this->inputs(step);
    ChunkWork<T> work(step.plan, this->edges_, in);
    Along u(step);
    const long dim = step.plan.dim_out;
    Scratch<T> messages(2 * message_nodes * dim), of_radial(2 * in.basis * chunk * lanes<T>);
    const T *from[message_nodes], *from_along[message_nodes], *message[message_nodes], *message_along[message_nodes];
    T *to[message_nodes], *to_along[message_nodes];
    this->over_messages(tile, [&](Tile some) {
      for (int r = 0; r < some.count; ++r) {
        const long node = some.nodes[r];
        from[r] = this->row(step.adjoint_out, node);
        from_along[r] = this->row(step.of_out, node);
        message[r] = this->row(step.message, node);
        message_along[r] = this->row(step.along_message, node);
        to[r] = messages + 2 * r * dim;
        to_along[r] = to[r] + dim;
      }
      linear_outer<T>(step.map, 0, some.count, message, from, this->training_.weights, of_weights_);
      linear_outer<T>(step.map, 0, some.count, message_along, from_along, this->training_.weights, of_weights_);
      linear<T>(step.transposed, 0, some.count, from, to);
      linear<T>(step.transposed, 0, some.count, from_along, to_along);
      for (int r = 0; r < some.count; ++r)
        receive_adjoint(work, u, step, in, some.nodes[r], to[r], to_along[r], of_radial);
    });
  }

  void receive_adjoint(ChunkWork<T>& work, Along& u, const Step<T>& step, const ConvolveInputs<T>& in, long receiver,
                       const T* g, const T* g_along, T* of_radial) {
    const Plan<T>& plan = step.plan;
    T* of_weight = of_weights_ + (step.weight - this->training_.weights);
    const long last = this->edges_.start[receiver + 1];
    for (long first = this->edges_.start[receiver]; first < last; first += chunk) {
      take(work, u, step, in, first, int(last - first < chunk ? last - first : chunk));
      for (int e = 0; e < work.count; ++e)
        work.gx[e] = this->halos_[this->me_].row(this->edges_.senders[work.edge[e]], this->mine_,
                                                 this->array(step.adjoint_in));
      const int count = work.count;
      T* of_radial_along = of_radial + in.basis * count * lanes<T>;
      clear<T>(of_radial, 2 * in.basis * count);
      for (int b = 0; b < plan.num_groups; ++b) {
        const Group& group = plan.groups[b];
        mix(work, u, in, group);
        over_single_channels<T>(group.channels, [&]<bool TAIL>(long c, int tail) {
          GroupChunk<T> here = work.at(group, c, g_along, true);
          here.g_more = g + c;
          here.weight = u.weight + c;
          here.gweight = u.gweight + c;
          const long behind = count * here.weight_row;
          with_dim(group.dim_in, [&]<int IN>() {
            product_backward_along<T, IN, TAIL>(here, {u.x, u.matrix, here.weight + behind}, here.gweight + behind,
                                                tail);
          });
        });
        add_radial_of<T>(plan, group, in.basis, 2 * count, in.weight + group.weight_offset, u.gweight, of_radial);
        add_weight<T>(plan, group, in.basis, 2 * count, u.radial, u.gweight, of_weight);
      }
      T* of_values = this->space_.of_radial + this->edges_.edges * step.radial_place;
      T* of_slopes = of_values + this->edges_.edges * in.basis;
      reduce<T>(work, of_radial, in.basis, of_values);
      reduce<T>(work, of_radial_along, in.basis, of_slopes);
      for (int e = 0; e < count; ++e)
        for (long b = 0; b < in.basis; ++b)
          of_slopes[work.edge[e] * in.basis + b] *= this->space_.along_distances[work.edge[e]];
    }
  }

  T* of_weights_ = nullptr;
};

template <class T>
void train_first(const Program<T>& program, const Edges& edges, const ProgramCall<T>& call,
                 const TrainCall<T>& training, const Workspace<T>& space, int threads) {
  Halo<T>* halos = new Halo<T>[threads];
#pragma omp parallel num_threads(threads) if (threads > 1)
  Training<T>(program, edges, call, training, space, halos, true).first();
  delete[] halos;
}

template <class T>
void train_second(const Program<T>& program, const Edges& edges, const ProgramCall<T>& call,
                  const TrainCall<T>& training, const Workspace<T>& space, int threads) {
  Halo<T>* halos = new Halo<T>[threads];
  // (Sums of the threads, added in their order: equal at every call.)
  Scratch<T> others(threads > 1 ? (threads - 1) * training.num_weights : 1);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const int me = omp_get_thread_num(), team = omp_get_num_threads();
    Training<T>(program, edges, call, training, space, halos, true)
        .second(me == 0 ? training.of_weights : others + (me - 1) * training.num_weights);
#pragma omp barrier
#pragma omp for schedule(static)
    for (int64_t c = 0; c < training.num_weights; ++c)
      for (int other = 1; other < team; ++other)
        training.of_weights[c] += others[(other - 1) * training.num_weights + c];
  }
  delete[] halos;
}

}  // namespace cynosure::CYNOSURE_ISA
