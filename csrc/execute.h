// Runs a program (program.h): the energy of every node, and the derivatives that forces and virials follow from.
//
// 1. Distances and spherical harmonics of the edges.
// 2. The steps, first to last.
// 3. The steps' derivatives, last to first. A convolution adds to the derivatives with respect to harmonics and
//    distances, which are those of all layers together.
// 4. From these to the edge vectors, and on to forces and virials.
//
// Only a convolution reads what other nodes have. Steps from one convolution up to the next are a segment, and a segment
// runs tile by tile: a few nodes go through all its steps while their features are in the cache.
//
// A thread works on the receivers of its range throughout; what it adds to other threads' senders goes through halos,
// as in convolve.h. All threads meet after every segment, since arrays share memory.
#pragma once

#include "activation.h"
#include "contraction.h"
#include "convolve.h"
#include "harmonics.h"
#include "linear.h"
#include "program.h"

namespace cynosure::CYNOSURE_ISA {

// Receivers whose messages are held at a time: two tiles of the linear map that follows.
constexpr int message_nodes = 2 * tile_rows;
// Nodes of a tile.
constexpr int tile_nodes = 16 * tile_rows;

struct Tile {
  const int64_t* nodes;
  int count;
};

template <class T>
class Run {
 public:
  Run(const Program<T>& program, const Edges& edges, const ProgramCall<T>& call, const TrainCall<T>& training,
      const Workspace<T>& space, Halo<T>* halos, bool derivatives)
      : program_(program),
        edges_(edges),
        call_(call),
        training_(training),
        space_(space),
        halos_(halos),
        derivatives_(derivatives),
        me_(omp_get_thread_num()),
        team_(omp_get_num_threads()),
        mine_(receivers_of(edges, me_, team_)),
        message_(long(message_nodes) * widest(&Plan<T>::dim_out)) {
    list_nodes();
    if (derivatives_ && team_ > 1) halos_[me_].collect(edges, mine_, widest(&Plan<T>::dim_x));
  }

  // Inference: everything that `call` asks for.
  void operator()() {
    geometry();
    meet();
    sort_by_distance();
    meet();
    network();
    if (!derivatives_) return;
    meet();
    node_results();
  }

 protected:
  // Steps 2 to 4 up to the edge vectors.
  void network() {
    over_segments([&](const Step<T>& step, Tile tile) { forward(step, tile); });
    for (long i = mine_.begin; i < mine_.end; ++i) call_.output[i] = *row(program_.energy, i);
    if (!derivatives_) return;
    meet();  // the derivative may lie where the energy was
    for (long i = mine_.begin; i < mine_.end; ++i) *row(program_.of_energy, i) = call_.seed[i];
    back_over_segments(&Step<T>::of_in, [&](const Step<T>& step, Tile tile) { backward(step, tile); });
    meet();
    edge_derivatives();
  }

  // f(step, tile) for all steps, first to last.
  template <class F>
  void over_segments(F&& f) {
    for (int first = 0, last; first < program_.num_steps; first = last) {
      for (last = first + 1; last < program_.num_steps && program_.steps[last].kind != Kind::convolve;) ++last;
      over_tiles([&](Tile tile) {
        for (int s = first; s < last; ++s) f(program_.steps[s], tile);
      });
      meet();
    }
  }

  // f(step, tile) for all steps, last to first. A convolution adds to the rows of its senders in the array `senders`,
  // which are zero before its segment and complete behind it.
  template <class F>
  void back_over_segments(Array Step<T>::*senders, F&& f) {
    for (int last = program_.num_steps, first; last > 0; last = first) {
      for (first = last - 1; first > 0 && program_.steps[first].kind != Kind::convolve;) --first;
      const Step<T>& head = program_.steps[first];
      const Array of_x = head.kind == Kind::convolve ? head.*senders : Array{};
      meet();
      for (long c = mine_.begin * of_x.dim; c < mine_.end * of_x.dim; ++c) array(of_x)[c] = T(0);
      halos_[me_].clear(of_x.dim);
      over_tiles([&](Tile tile) {
        for (int s = last - 1; s >= first; --s) f(program_.steps[s], tile);
      });
      if (team_ == 1 || !of_x.dim) continue;
      meet();
      add_halos(halos_, team_, mine_, array(of_x));
    }
  }

  template <class F>
  void over_tiles(F&& f) const {
    for (long first = mine_.begin; first < mine_.end; first += tile_nodes)
      f(Tile{space_.nodes + first, int(mine_.end - first < tile_nodes ? mine_.end - first : tile_nodes)});
  }

  long widest(int32_t Plan<T>::*dim) const {
    long most = 1;
    for (int s = 0; s < program_.num_steps; ++s) {
      const Step<T>& step = program_.steps[s];
      if (step.kind == Kind::convolve && step.plan.*dim > most) most = step.plan.*dim;
    }
    return most;
  }

  T* array(const Array& a) const { return space_.arena + edges_.nodes * a.offset; }
  T* row(const Array& a, long node) const { return array(a) + node * a.dim; }

  static void meet() {
#pragma omp barrier
  }

  Range my_edges() const {
    return {edges_.edges * me_ / team_, edges_.edges * (me_ + 1) / team_};
  }

  // This thread's nodes, those of a tile by species.
  void list_nodes() {
    for (long node = mine_.begin; node < mine_.end; ++node) {
      const long begin = node - (node - mine_.begin) % tile_nodes;
      long to = node;
      for (; to > begin && call_.species[space_.nodes[to - 1]] > call_.species[node]; --to)
        space_.nodes[to] = space_.nodes[to - 1];
      space_.nodes[to] = node;
    }
  }

  void geometry() {
    const Range range = my_edges();
    const int dim = harmonics_dim(program_.lmax);
    for (long e = range.begin; e < range.end; ++e) {
      const double x = call_.vectors[3 * e], y = call_.vectors[3 * e + 1], z = call_.vectors[3 * e + 2];
      space_.vectors[3 * e] = T(x);
      space_.vectors[3 * e + 1] = T(y);
      space_.vectors[3 * e + 2] = T(z);
      space_.distances[e] = T(__builtin_sqrt(x * x + y * y + z * z));
    }
    harmonics_forward<T>(program_.lmax, true, range.end - range.begin, space_.vectors + 3 * range.begin,
                         space_.harmonics + dim * range.begin, 1);
    if (!derivatives_) return;
    for (long e = range.begin; e < range.end; ++e) space_.of_distances[e] = T(0);
    for (long c = range.begin * dim; c < range.end * dim; ++c) space_.of_harmonics[c] = T(0);
  }

  // Edges of one receiver that are next to each other in length share the weights of their radial functions, if they
  // have one table.
  void sort_by_distance() {
    const auto comes_before = [&](long one, long other) {
      if (program_.slots && space_.slots[one] != space_.slots[other]) return space_.slots[one] < space_.slots[other];
      return space_.distances[one] < space_.distances[other];
    };
    for (long i = mine_.begin; i < mine_.end; ++i)
      for (long place = edges_.start[i]; place < edges_.start[i + 1]; ++place) {
        const long edge = edges_.order ? edges_.order[place] : place;
        if (program_.slots)
          space_.slots[edge] =
              program_.slots[call_.species[i] * program_.num_species + call_.species[edges_.senders[edge]]];
        long to = place;
        for (; to > edges_.start[i] && comes_before(edge, space_.order[to - 1]); --to)
          space_.order[to] = space_.order[to - 1];
        space_.order[to] = edge;
      }
    edges_.order = space_.order;
  }

  void forward(const Step<T>& step, Tile tile) {
    switch (step.kind) {
      case Kind::embed:
        return over_nodes(tile, [&](long i) {
          std::memcpy(row(step.out, i), step.table + call_.species[i] * step.out.dim, sizeof(T) * step.out.dim);
        });
      case Kind::linear: return apply(step.map, step.by_species, tile, step.in, step.out);
      case Kind::convolve: return convolve(step, tile);
      case Kind::contract:
        return contractions(step, tile, step.in, {}, {}, {}, step.out, [&](auto& call, Tile some, T* const* to) {
          contract<T>(step.contraction, call, some.count, to, 0, step.contraction.channels);
        });
      case Kind::gate:
        return over_nodes(tile, [&](long i) {
          for (int k = 0; k < step.num_items; ++k) gate_forward<T>(step.items[k], row(step.in, i), row(step.out, i));
        });
    }
  }

  void backward(const Step<T>& step, Tile tile) {
    if (step.kind == Kind::convolve) return convolve_back(step, tile);
    if (!step.of_in.dim) return;
    switch (step.kind) {
      case Kind::linear: return apply(step.transposed, step.by_species, tile, step.of_out, step.of_in);
      case Kind::contract:
        return contractions(step, tile, step.in, {}, step.of_out, {}, step.of_in,
                            [&](auto& call, Tile some, T* const* to) {
                              call.of_x = to;
                              contract_back<T>(step.contraction, call, some.count, 0, step.contraction.channels);
                            });
      case Kind::gate:
        return over_nodes(tile, [&](long i) {
          for (int k = 0; k < step.num_items; ++k)
            gate_backward<T>(step.items[k], row(step.in, i), row(step.of_out, i), row(step.of_in, i));
        });
      default: return;
    }
  }

  template <class F>
  static void over_nodes(Tile tile, F&& f) {
    for (int r = 0; r < tile.count; ++r) f(tile.nodes[r]);
  }

  // f(species, tile), one species at a time if asked.
  template <class F>
  void over_species(bool by_species, Tile tile, F&& f) const {
    if (!by_species) return f(0, tile);
    for (int first = 0, last; first < tile.count; first = last) {
      const int64_t species = call_.species[tile.nodes[first]];
      for (last = first + 1; last < tile.count && call_.species[tile.nodes[last]] == species;) ++last;
      f(species, Tile{tile.nodes + first, last - first});
    }
  }

  void apply(const LinearMap<T>& map, bool by_species, Tile tile, const Array& in, const Array& out) {
    const T* from[tile_nodes];
    T* to[tile_nodes];
    over_species(by_species, tile, [&](int64_t species, Tile some) {
      for (int r = 0; r < some.count; ++r) {
        from[r] = row(in, some.nodes[r]);
        to[r] = row(out, some.nodes[r]);
      }
      linear<T>(map, species, some.count, from, to);
    });
  }

  ConvolveInputs<T> inputs(const Step<T>& step) const {
    if (space_.radial) {
      const T* radial = space_.radial + edges_.edges * step.radial_place;
      return {array(step.in), space_.harmonics, radial, step.weight, step.basis, nullptr, nullptr,
              radial + edges_.edges * step.basis};
    }
    return {array(step.in), space_.harmonics, nullptr, step.weight, step.basis, &step.intervals, space_.distances,
            nullptr, step.by_pair ? space_.slots : nullptr};
  }

  // f(call, tile, rows of `to`), one species at a time.
  template <class F>
  void contractions(const Step<T>& step, Tile tile, const Array& x, const Array& ux, const Array& g, const Array& ug,
                    const Array& to, F&& f) const {
    const T *x_rows[tile_nodes], *ux_rows[tile_nodes], *g_rows[tile_nodes], *ug_rows[tile_nodes];
    T* to_rows[tile_nodes];
    over_species(true, tile, [&](int64_t species, Tile some) {
      for (int r = 0; r < some.count; ++r) {
        const long node = some.nodes[r];
        x_rows[r] = row(x, node);
        ux_rows[r] = row(ux, node);
        g_rows[r] = row(g, node);
        ug_rows[r] = row(ug, node);
        to_rows[r] = row(to, node);
      }
      const long shift = species * long(step.contraction.num_nodes) * step.contraction.channels;
      ContractionCall<T> call{step.table + shift, nullptr, x_rows,  ux.dim ? ux_rows : nullptr, g_rows,
                              ug.dim ? ug_rows : nullptr, nullptr, nullptr};
      f(call, some, to_rows);
    });
  }

  // f(tile) for so many nodes at a time as have their messages held.
  template <class F>
  static void over_messages(Tile tile, F&& f) {
    for (int first = 0; first < tile.count; first += message_nodes)
      f(Tile{tile.nodes + first, tile.count - first < message_nodes ? tile.count - first : message_nodes});
  }

  // Messages go on to the linear map a few receivers at a time, and are never all there but for training.
  void convolve(const Step<T>& step, Tile tile) {
    const ConvolveInputs<T> in = inputs(step);
    ChunkWork<T> work(step.plan, edges_, in);
    const T* from[message_nodes];
    T* to[message_nodes];
    over_messages(tile, [&](Tile some) {
      for (int r = 0; r < some.count; ++r) {
        const long node = some.nodes[r];
        T* message = step.message.dim ? row(step.message, node) : message_ + r * step.plan.dim_out;
        receive(work, in, node, message);
        from[r] = message;
        to[r] = row(step.out, node);
      }
      linear<T>(step.map, 0, some.count, from, to);
    });
  }

  void convolve_back(const Step<T>& step, Tile tile) {
    const ConvolveInputs<T> in = inputs(step);
    // (Null where nothing depends on x: the first layer's features are those of the species.)
    T* of_x = step.of_in.dim ? array(step.of_in) : nullptr;
    const Halo<T>& halo = halos_[me_];
    ConvolveGradients<T> gradients{of_x, space_.of_harmonics, nullptr, nullptr, space_.of_distances, true};
    ChunkWork<T> work(step.plan, edges_, in);
    EdgeSums<T> sums(step.plan, in, gradients);
    const T* from[message_nodes];
    T* to[message_nodes];
    over_messages(tile, [&](Tile some) {
      for (int r = 0; r < some.count; ++r) {
        from[r] = row(step.of_out, some.nodes[r]);
        to[r] = message_ + r * step.plan.dim_out;
      }
      linear<T>(step.transposed, 0, some.count, from, to);
      for (int r = 0; r < some.count; ++r)
        receive_backward(work, sums, in, some.nodes[r], to[r], gradients, static_cast<T*>(nullptr),
                         [&](ChunkWork<T>& chunk_work) {
                           for (int e = 0; of_x && e < chunk_work.count; ++e)
                             chunk_work.gx[e] = halo.row(edges_.senders[chunk_work.edge[e]], mine_, of_x);
                         });
    });
  }

  void edge_derivatives() {
    const Range range = my_edges();
    const int dim = harmonics_dim(program_.lmax);
    harmonics_backward<T>(program_.lmax, true, range.end - range.begin, space_.vectors + 3 * range.begin,
                          space_.of_harmonics + dim * range.begin, space_.of_vectors + 3 * range.begin, 1);
    for (long e = range.begin; e < range.end; ++e) {
      const T along = space_.distances[e] > T(0) ? space_.of_distances[e] / space_.distances[e] : T(0);
      for (int a = 0; a < 3; ++a) space_.of_vectors[3 * e + a] += along * space_.vectors[3 * e + a];
    }
  }

  // forces_i = sum of derivatives of the edges it receives less those that it sends; virials_i = -sum r (x) derivative.
  void node_results() {
    for (long i = mine_.begin; i < mine_.end; ++i) {
      T force[3] = {};
      double virial[9] = {};
      for (long place = edges_.start[i]; place < edges_.start[i + 1]; ++place) {
        const long e = edges_.order ? edges_.order[place] : place;
        const T* g = space_.of_vectors + 3 * e;
        for (int a = 0; a < 3; ++a) {
          force[a] += g[a];
          for (int b = 0; b < 3; ++b) virial[3 * a + b] -= call_.vectors[3 * e + a] * double(g[b]);
        }
      }
      if (call_.forces)
        for (int a = 0; a < 3; ++a) call_.forces[3 * i + a] = force[a];
      if (call_.virials)
        for (int c = 0; c < 9; ++c) call_.virials[9 * i + c] = virial[c];
    }
    if (!call_.forces) return;
    // Every thread reads all senders and serves its own, in the order of the edges.
    for (long e = 0; e < edges_.edges; ++e) {
      const long sender = edges_.senders[e];
      if (sender < mine_.begin || sender >= mine_.end) continue;
      for (int a = 0; a < 3; ++a) call_.forces[3 * sender + a] -= space_.of_vectors[3 * e + a];
    }
  }

  const Program<T>& program_;
  Edges edges_;
  const ProgramCall<T>& call_;
  const TrainCall<T>& training_;
  const Workspace<T>& space_;
  Halo<T>* halos_;
  const bool derivatives_;
  const int me_, team_;
  const Range mine_;
  Scratch<T> message_;
};

template <class T>
void execute(const Program<T>& program, const Edges& edges, const ProgramCall<T>& call, const Workspace<T>& space,
             int threads) {
  Halo<T>* halos = new Halo<T>[threads];
  const TrainCall<T> no_training{};
#pragma omp parallel num_threads(threads) if (threads > 1)
  Run<T>(program, edges, call, no_training, space, halos, call.forces || call.virials)();
  delete[] halos;
}

}  // namespace cynosure::CYNOSURE_ISA
