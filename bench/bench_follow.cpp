/// Do the trainer's recipes learn as PyTorch and Keras do? bench_follow FOLDER DATA [--threads 0] [--losses]
/// Trains the study's network for one epoch as a peer did, from its initial weights, with its pictures in its order, by the recipe of its name, without augmentation and dropout, and compares the loss
/// of every step. FOLDER is what bench/peers/study_torch.py or study_keras.py left with --follow; bench/study --follow runs both.
/// In double precision, where rounding stays small: Adam divides gradients by their own size, so that the last bit of one that is nearly zero decides where a weight goes, and in single precision two
/// programs that do the same part soon. How far either goes in single precision from itself in double is printed too. One line of JSON; --losses prints every step before.
#include <cstdlib>
#include <fstream>

#include "../examples/tomato/network.hpp"
#include "../examples/tomato/recipe.hpp"
#include "work.hpp"

using namespace lamina;

namespace {

struct Followed : Network<Input<64, 64, 3>, tomato::Block<32>, tomato::Block<64>, tomato::Block<128>, Flatten, Dense<128>, ReLU, Dense<tomato::classes>> {};
constexpr Shape flattened{8, 8, 128};            // what Flatten is given

/// Numbers in PyTorch's order in Lamina's: (out, in, h, w) as (h, w, in, out), and (out, in) as (in, out), where `in` behind Flatten is (c, h, w) there and (h, w, c) here.
std::vector<float> turned(const std::vector<float>& from, const Dims& to) {
  if (to.rank == 1) return from;
  const bool conv = to.rank == 4, planes = !conv && to.side[0] == size(flattened);
  const Index places = conv ? to.side[0] * to.side[1] : planes ? Index(flattened.h) * flattened.w : 1, channels = conv ? to.side[2] : to.side[0] / places, outputs = to.side[conv ? 3 : 1];
  std::vector<float> w(from.size());
  for (Index o = 0, at = 0; o < outputs; ++o)
    for (Index c = 0; c < channels; ++c)
      for (Index place = 0; place < places; ++place) w[std::size_t((place * channels + c) * outputs + o)] = from[std::size_t(at++)];
  return w;
}

/// The peer's weights into the model; those of layer k are called "k.weight" and "k.bias".
template <class Model> void take_weights(Model& model, const SafeTensors& file, bool torch) {
  Index k = 0;
  for (const NamedTensor& t : model.tensors()) {
    const std::string name = t.name.substr(t.name.find('.') + 1);
    const std::vector<float> w = file.at(std::to_string(k) + "." + name).as<float>();
    if (Index(w.size()) != t.dims.count())
      throw Error(file.path, ": the tensor ", k, ".", name, " has ", w.size(), " numbers where the study's network has ", t.dims.count(), ": it is of another size or other classes");
    const std::vector<float> ours = torch ? turned(w, t.dims) : w;
    std::copy(ours.begin(), ours.end(), model.parameters() + t.at);
    k += name == "bias";
  }
}

/// The pictures as the peer learned them.
Dataset in_order(const std::filesystem::path& folder, const std::filesystem::path& data, const std::vector<std::int32_t>& labels) {
  Dataset set;
  for (int k = 0; k < tomato::classes; ++k) set.classes.push_back(std::to_string(k));
  std::ifstream order(folder / "order.txt");
  for (std::string line; std::getline(order, line) && set.samples.size() < labels.size();) set.samples.push_back({data / line, labels[set.samples.size()], nullptr, line, 0});
  if (set.samples.size() != labels.size()) throw Error(folder / "order.txt", " names ", set.samples.size(), " pictures for ", labels.size(), " labels: let the peer write the folder anew");
  return set;
}

/// To train on as they are and in their order.
struct InOrder : EvaluationIterator {
  using EvaluationIterator::EvaluationIterator;
  using View = TrainingView;
};

/// The callback that notes the mean loss of every step.
struct Losses {
  std::vector<double>& all;
  double sum = 0, samples = 0;
  void step(auto& run) {
    const Totals totals = run.model.totals();
    all.push_back((totals.loss() - sum) / (double(totals.samples) - samples));
    sum = totals.loss(), samples = double(totals.samples);
  }
};

/// What Keras's Adam makes of a rate in step t beside what its formula says. It casts beta1 and beta2 to single precision before it takes their powers, in double precision too
/// (keras/src/optimizers/adam.py, update_step; TensorFlow's cast takes a Python number for a float). That is 6e-6 of the first step, and a recipe has no reason to do it.
double keras_rounding(double beta1, double beta2, Index t) {
  const auto size = [t](double first, double second) { return std::sqrt(1 - std::pow(second, double(t))) / (1 - std::pow(first, double(t))); };
  return size(double(float(beta1)), double(float(beta2))) / size(beta1, beta2);
}

/// The losses of the steps of one epoch in numbers T, with the peer's own rates, which Keras rounds to single precision; `apart` becomes the largest part by which the recipe's differ from them.
template <class T> std::vector<double> losses(const SafeTensors& file, const tomato::Recipe& recipe, InOrder& train, int threads, double& apart) {
  EvaluationIterator validation(Dataset{train.classes(), {train.dataset().samples.front()}});
  Model<Followed, Cpu, T> model({.batch = train.batch_size(), .loss = recipe.loss}, Cpu(threads));
  const bool torch = detail::meta(file, "framework") == "torch";
  take_weights(model.base(), file, torch);
  const std::vector<double> rates = file.at("rates").as<double>();
  const auto schedule = [&](double base, const Moment& m) {
    const double theirs = rates.at(std::size_t(m.step));
    apart = std::max(apart, std::abs(recipe.schedule(base, m) / theirs - 1));
    return theirs * (torch ? 1 : keras_rounding(recipe.optimizer.beta1, recipe.optimizer.beta2, m.step + 1));
  };
  std::vector<double> all;
  fit(model, train, validation, recipe.optimizer, schedule, {.epochs = 1}, Losses{all});
  return all;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const double d = std::abs(a[i] - b[i]); !(d <= largest)) largest = d;
  return largest;
}

/// How many steps pass before the losses differ by more than `most`.
std::size_t steps_within(const std::vector<double>& a, const std::vector<double>& b, double most) {
  std::size_t n = 0;
  while (n < a.size() && std::abs(a[n] - b[n]) <= most) ++n;
  return n;
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<std::filesystem::path> paths;
  int threads = 0;
  bool print = false, understood = true;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--threads" && i + 1 < argc) threads = bench::threads_of(argv[++i]);
    else if (word == "--losses") print = true;
    else if (word[0] != '-') paths.push_back(word);
    else understood = false;
  }
  if (paths.size() != 2 || !understood) return std::fprintf(stderr, "bench_follow FOLDER DATA [--threads 0] [--losses]\n"), 2;
  const SafeTensors file = read_safetensors(paths[0] / "followed.safetensors");
  const std::string framework = detail::meta(file, "framework");
  tomato::TrainSettings settings;
  settings.recipe = framework == "keras" ? "keras" : "pytorch";
  const tomato::Recipe recipe = tomato::recipe(settings);
  const int batch = std::atoi(detail::meta(file, "batch").c_str());
  const std::vector<double> theirs = file.at("losses").as<double>(), theirs_single = file.at("losses_single").as<double>();

  InOrder train(in_order(paths[0], paths[1], file.at("labels").as<std::int32_t>()), {.batch = batch, .workers = threads});
  if (train.batches() != std::ssize(theirs)) throw Error(file.path, " has the losses of ", theirs.size(), " steps, and its pictures make ", train.batches());
  double apart = 0;
  const std::vector<double> ours = losses<double>(file, recipe, train, threads, apart), ours_single = losses<float>(file, recipe, train, threads, apart);
  for (std::size_t i = 0; print && i < ours.size(); ++i) std::printf("%zu %.9f %.9f %.9f %.9f\n", i + 1, theirs[i], ours[i], theirs_single[i], ours_single[i]);
  std::printf("{\"framework\": \"%s\", \"version\": \"%s\", \"steps\": %zu, \"first_loss\": %.6f, \"last_loss\": %.6f, \"rates_apart\": %.3g, ", framework.c_str(), detail::meta(file, "version").c_str(),
              theirs.size(), theirs.front(), theirs.back(), apart);
  std::printf("\"single_steps\": %zu, \"their_single_steps\": %zu, ", steps_within(ours_single, theirs_single, 1e-3), steps_within(theirs_single, theirs, 1e-3));
  std::printf("\"difference\": %.3g, \"single_difference\": %.3g, \"their_single_from_double\": %.3g, \"our_single_from_double\": %.3g}\n", largest_difference(ours, theirs),
              largest_difference(ours_single, theirs_single), largest_difference(theirs_single, theirs), largest_difference(ours_single, ours));
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_follow: %s\n", e.what()), 1;
}
