// Runs a program (program.h): the energy of every node, and the derivatives that forces and virials follow from.
//
// 1. Distances and spherical harmonics of the edges.
// 2. The steps, first to last.
// 3. The steps' derivatives, last to first. A convolution adds to the derivatives with respect to harmonics and
//    distances, which are those of all layers together.
// 4. From these to the edge vectors, and on to forces and virials.
//
// A thread works on the receivers of its range throughout; what it adds to other threads' senders goes through halos,
// as in convolve.h. All threads meet after every step, since arrays share memory.
#pragma once

#include "activation.h"
#include "convolve.h"
#include "harmonics.h"
#include "linear.h"
#include "program.h"

namespace cynosure::CYNOSURE_ISA {

// Receivers whose messages are held at a time: two tiles of the linear map that follows.
constexpr int tile_nodes = 2 * tile_rows;
// Nodes of one species that a linear map works on at a time.
constexpr int linear_nodes = 8 * tile_rows;

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
        species_start_(program.num_species + 1),
        message_(long(tile_nodes) * widest(&Plan<T>::dim_out)) {
    sort_by_species();
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
    for (int s = 0; s < program_.num_steps; ++s) {
      forward(program_.steps[s]);
      meet();
    }
    for (long i = mine_.begin; i < mine_.end; ++i) call_.output[i] = *row(program_.energy, i);
    if (!derivatives_) return;
    meet();  // the derivative may lie where the energy was
    for (long i = mine_.begin; i < mine_.end; ++i) *row(program_.of_energy, i) = call_.seed[i];
    for (int s = program_.num_steps - 1; s >= 0; --s)
      if (program_.steps[s].of_in.dim || program_.steps[s].kind == Kind::convolve) {
        meet();
        backward(program_.steps[s]);
      }
    meet();
    edge_derivatives();
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

  // by_species[begin + species_start[s] ...] are this thread's nodes of species s.
  void sort_by_species() {
    const int count = program_.num_species;
    for (int s = 0; s <= count; ++s) species_start_[s] = 0;
    for (long i = mine_.begin; i < mine_.end; ++i)
      if (call_.species[i] + 1 < count) ++species_start_[call_.species[i] + 1];
    for (int s = 1; s < count; ++s) species_start_[s] += species_start_[s - 1];
    species_start_[count] = mine_.end - mine_.begin;
    for (long i = mine_.begin; i < mine_.end; ++i)
      space_.by_species[mine_.begin + species_start_[call_.species[i]]++] = i;
    for (int s = count - 1; s > 0; --s) species_start_[s] = species_start_[s - 1];
    species_start_[0] = 0;
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

  // Edges of one receiver that are next to each other in length share the weights of their radial functions.
  void sort_by_distance() {
    for (long i = mine_.begin; i < mine_.end; ++i)
      for (long place = edges_.start[i]; place < edges_.start[i + 1]; ++place) {
        const long edge = edges_.order ? edges_.order[place] : place;
        const T distance = space_.distances[edge];
        long to = place;
        for (; to > edges_.start[i] && space_.distances[space_.order[to - 1]] > distance; --to)
          space_.order[to] = space_.order[to - 1];
        space_.order[to] = edge;
      }
    edges_.order = space_.order;
  }

  void forward(const Step<T>& step) {
    switch (step.kind) {
      case Kind::embed:
        for (long i = mine_.begin; i < mine_.end; ++i)
          std::memcpy(row(step.out, i), step.table + call_.species[i] * step.out.dim, sizeof(T) * step.out.dim);
        return;
      case Kind::linear: return apply(step.map, step.by_species, step.in, step.out);
      case Kind::convolve: return convolve(step);
      case Kind::gate:
        for (long i = mine_.begin; i < mine_.end; ++i)
          for (int k = 0; k < step.num_items; ++k) gate_forward<T>(step.items[k], row(step.in, i), row(step.out, i));
        return;
    }
  }

  void backward(const Step<T>& step) {
    switch (step.kind) {
      case Kind::embed: return;
      case Kind::linear: return apply(step.transposed, step.by_species, step.of_out, step.of_in);
      case Kind::convolve: return convolve_back(step);
      case Kind::gate:
        for (long i = mine_.begin; i < mine_.end; ++i)
          for (int k = 0; k < step.num_items; ++k)
            gate_backward<T>(step.items[k], row(step.in, i), row(step.of_out, i), row(step.of_in, i));
        return;
    }
  }

  // f(species, count, nodes) over this thread's nodes, a few at a time, species by species if asked.
  template <class F>
  void over_nodes(bool by_species, F&& f) const {
    long nodes[linear_nodes];
    for (int s = 0; s < (by_species ? program_.num_species : 1); ++s) {
      const long last = by_species ? species_start_[s + 1] : mine_.end - mine_.begin;
      for (long first = by_species ? species_start_[s] : 0; first < last; first += linear_nodes) {
        const int count = int(last - first < linear_nodes ? last - first : linear_nodes);
        for (int r = 0; r < count; ++r) {
          const long place = mine_.begin + first + r;
          nodes[r] = by_species ? space_.by_species[place] : place;
        }
        f(s, count, nodes);
      }
    }
  }

  void apply(const LinearMap<T>& map, bool by_species, const Array& in, const Array& out) {
    const T* from[linear_nodes];
    T* to[linear_nodes];
    over_nodes(by_species, [&](int species, int count, const long* nodes) {
      for (int r = 0; r < count; ++r) {
        from[r] = row(in, nodes[r]);
        to[r] = row(out, nodes[r]);
      }
      linear<T>(map, species, count, from, to);
    });
  }

  ConvolveInputs<T> inputs(const Step<T>& step) const {
    if (training_.radial)
      return {array(step.in), space_.harmonics, training_.radial[step.convolution], step.weight, step.basis, nullptr,
              nullptr, training_.slopes[step.convolution]};
    return {array(step.in), space_.harmonics, nullptr, step.weight, step.basis, &step.intervals, space_.distances};
  }

  // Messages go on to the linear map a few receivers at a time, and are never all there but for training.
  void convolve(const Step<T>& step) {
    const ConvolveInputs<T> in = inputs(step);
    ChunkWork<T> work(step.plan, edges_, in);
    const T* from[tile_nodes];
    T* to[tile_nodes];
    for (long first = mine_.begin; first < mine_.end; first += tile_nodes) {
      const int count = int(mine_.end - first < tile_nodes ? mine_.end - first : tile_nodes);
      for (int r = 0; r < count; ++r) {
        T* message = step.message.dim ? row(step.message, first + r) : message_ + r * step.plan.dim_out;
        receive(work, in, first + r, message);
        from[r] = message;
        to[r] = row(step.out, first + r);
      }
      linear<T>(step.map, 0, count, from, to);
    }
  }

  void convolve_back(const Step<T>& step) {
    const ConvolveInputs<T> in = inputs(step);
    // (Null where nothing depends on x: the first layer's features are those of the species.)
    T* of_x = step.of_in.dim ? array(step.of_in) : nullptr;
    for (long c = mine_.begin * step.of_in.dim; c < mine_.end * step.of_in.dim; ++c) of_x[c] = T(0);
    const Halo<T>& halo = halos_[me_];
    halos_[me_].clear(step.of_in.dim);
    ConvolveGradients<T> gradients{of_x, space_.of_harmonics, nullptr, nullptr, space_.of_distances, true};
    ChunkWork<T> work(step.plan, edges_, in);
    EdgeSums<T> sums(step.plan, in, gradients);
    const T* from[tile_nodes];
    T* to[tile_nodes];
    for (long first = mine_.begin; first < mine_.end; first += tile_nodes) {
      const int count = int(mine_.end - first < tile_nodes ? mine_.end - first : tile_nodes);
      for (int r = 0; r < count; ++r) {
        from[r] = row(step.of_out, first + r);
        to[r] = message_ + r * step.plan.dim_out;
      }
      linear<T>(step.transposed, 0, count, from, to);
      for (int r = 0; r < count; ++r)
        receive_backward(work, sums, in, first + r, to[r], gradients, static_cast<T*>(nullptr),
                         [&](ChunkWork<T>& chunk_work) {
                           for (int e = 0; of_x && e < chunk_work.count; ++e)
                             chunk_work.gx[e] = halo.row(edges_.senders[chunk_work.edge[e]], mine_, of_x);
                         });
    }
    if (team_ == 1 || !of_x) return;
    meet();
    add_halos(halos_, team_, mine_, of_x);
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
  Scratch<long> species_start_;
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
