/// A training that was stopped anywhere goes on to the same bits; what cannot go on says why.
#include <doctest/doctest.h>

#include <fstream>

#include <lamina/io/checkpoint.hpp>
#include <lamina/lamina.hpp>

#include "../support/halves.hpp"
#include "../support/temporary.hpp"

using namespace lamina;
using lamina_test::Halves;

namespace {
template <int Hidden> struct NetOf : Network<Input<8, 8, 1>, Conv<4, 3>, BatchNorm, ReLU, MaxPool<2>, Flatten, Dense<Hidden>, ReLU, Dropout<20>, Dense<2>> {};
using Net = NetOf<8>;
struct Shorter : Network<Input<8, 8, 1>, Conv<4, 3>, BatchNorm, ReLU, MaxPool<2>, Flatten, Dense<8>> {};

template <class N = Net, class Sched = Constant, class Opt = Adam>
FitResult train(const std::filesystem::path& folder, FitOptions options, std::string settings = "a", Sched schedule = {}, int threads = 1, std::string data = "two pictures", Opt optimizer = {.rate = 3e-3}) {
  Model<N, Cpu> model({.batch = 64, .seed = 1}, Cpu(threads));
  Halves train(300, 32, 1), val(64, 64, 2);
  Checkpoint checkpoint(folder, {"left", "right"}, settings, data);
  return fit(model, train, val, optimizer, schedule, options, checkpoint);
}
std::string bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

TEST_CASE("stopped after any number of steps and begun again, a training ends with the same bytes") {
  lamina_test::TemporaryFolder whole, parts;
  const FitResult r = train(whole.path, {.epochs = 4});
  for (Index stop : {1, 9, 10, 11, 3}) CHECK(train(parts.path, {.epochs = 4, .stop_after = stop}).stopped != "");
  const FitResult last = train(parts.path, {.epochs = 4}, "a", Constant{}, 3);
  CHECK(last.steps == r.steps);
  CHECK(bytes(whole.path / "last.safetensors") == bytes(parts.path / "last.safetensors"));
  CHECK(bytes(whole.path / "best.safetensors") == bytes(parts.path / "best.safetensors"));
  REQUIRE(last.history.size() == r.history.size());
  for (std::size_t i = 0; i < r.history.size(); ++i) {
    CHECK(last.history[i].loss == r.history[i].loss);
    CHECK(last.history[i].accuracy == r.history[i].accuracy);
    CHECK(last.history[i].val_loss == r.history[i].val_loss);
  }
}

TEST_CASE("an epoch that was stopped in its midst has the seconds of all its parts") {
  lamina_test::TemporaryFolder folder;
  const std::filesystem::path interrupted = folder.path / "interrupted.csv", history = folder.path / "history.csv";
  train(folder.path, {.epochs = 3, .stop_after = 14});                                     // ten steps an epoch
  EpochRow part = read_history(interrupted, 2).back();
  CHECK(part.epoch == 2);
  CHECK(part.forward > 0);
  CHECK(part.seconds >= part.wait + part.forward + part.backward + part.update);
  part.seconds = 1000, part.forward = 600, part.backward = 300, part.images_per_second = 128 / 900.;
  write_history(interrupted, {part});
  train(folder.path, {.epochs = 3, .stop_after = 2});
  CHECK(read_history(interrupted, 2).back().seconds > 1000);
  const std::vector<EpochRow> all = train(folder.path, {.epochs = 3}).history;
  CHECK(all[1].seconds > 1000);
  CHECK(all[1].forward > 600);
  CHECK(all[1].images_per_second == doctest::Approx(300 / 900.).epsilon(0.05));
  CHECK(all[2].seconds < 1000);
  CHECK(read_history(history, 3)[1].seconds == all[1].seconds);
  CHECK_FALSE(std::filesystem::exists(interrupted));

  train(folder.path, {.epochs = 5, .stop_after = 4});                                      // what is lost or damaged counts from the step that goes on
  std::ofstream(interrupted) << "nonsense";
  CHECK(train(folder.path, {.epochs = 4}).history[3].seconds < 1000);
}

TEST_CASE("where best.safetensors is lost, the best of the epochs to come is kept") {
  lamina_test::TemporaryFolder folder;
  train(folder.path, {.epochs = 2});
  std::filesystem::remove(folder.path / "best.safetensors");
  train(folder.path, {.epochs = 3});
  CHECK(read_safetensors(folder.path / "best.safetensors").metadata.at("epoch") == "3");
  CHECK(read_safetensors(folder.path / "last.safetensors").metadata.at("best_epoch") == "3");
}

TEST_CASE("a schedule that learns from the validation goes on too") {
  const ReduceOnPlateau schedule{.factor = 0.5, .patience = 0, .threshold = 0.5};
  lamina_test::TemporaryFolder whole, parts;
  const FitResult r = train(whole.path, {.epochs = 6}, "a", schedule);
  CHECK(r.history.back().rate < 3e-3);
  for (int i = 0; i < 3; ++i) train(parts.path, {.epochs = 6, .stop_after = 17}, "a", schedule);
  train(parts.path, {.epochs = 6}, "a", schedule);
  CHECK(bytes(whole.path / "last.safetensors") == bytes(parts.path / "last.safetensors"));
}

TEST_CASE("a finished training does nothing more, a longer one goes on") {
  lamina_test::TemporaryFolder folder, longer;
  train(folder.path, {.epochs = 2});
  const std::string before = bytes(folder.path / "last.safetensors");
  CHECK(train(folder.path, {.epochs = 2}).steps == 20);
  CHECK(bytes(folder.path / "last.safetensors") == before);
  train(folder.path, {.epochs = 3});
  train(longer.path, {.epochs = 3});
  CHECK(bytes(folder.path / "last.safetensors") == bytes(longer.path / "last.safetensors"));
}

TEST_CASE("other settings, other data, another network and a damaged file are refused, and nothing is lost") {
  lamina_test::TemporaryFolder folder;
  train(folder.path, {.epochs = 1});
  const auto last = folder.path / "last.safetensors";
  const std::string before = bytes(last);
  CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 2}, "b"), doctest::Contains("holds a training begun with other settings (a) than these (b)"), Error);
  CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 2}, "a", Constant{}, 1, "three pictures"),
                       doctest::Contains("holds a training with these settings on other data (two pictures) than now (three pictures): undo what"), Error);
  CHECK_THROWS_WITH_AS(train<NetOf<9>>(folder.path, {.epochs = 2}), doctest::Contains("is a checkpoint of another network: it has Dense<8> where this one has Dense<9> (layer 6; the input is layer 0): load it into the network"), Error);
  CHECK_THROWS_WITH_AS(train<Shorter>(folder.path, {.epochs = 2}), doctest::Contains("it has ReLU where this one has nothing (layer 7; "), Error);
  CHECK(bytes(last) == before);
  std::string damaged = before;
  damaged[damaged.size() / 2] = char(damaged[damaged.size() / 2] ^ 4);
  std::ofstream(last, std::ios::binary) << damaged;
  CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 2}), doctest::Contains(last.string().c_str()), Error);
  CHECK(bytes(last) == damaged);
}

TEST_CASE("other batches of pictures than before are refused, however the texts are; how they are made may change") {
  lamina_test::TemporaryFolder folder;
  Dataset pictures{{"dark", "light"}, {}, "greys"};
  for (int i = 0; i < 24; ++i) pictures.add({8, 8, 1, std::vector<std::uint8_t>(64, std::uint8_t(i % 2 ? 160 + i : 60 + i))}, i % 2);
  const auto go_on = [&](const Dataset& d, const AugmentationOptions& o, Index stop, Index val_batch = 8, std::uint64_t seed = 1) {
    Model<Net, Cpu> model({.batch = 12, .seed = seed}, Cpu(1));
    AugmentationIterator train(d, o);
    EvaluationIterator val(pictures, {.size = {8, 8}, .batch = val_batch});
    Checkpoint checkpoint(folder.path, pictures.classes);
    return fit(model, train, val, Adam{}, Constant{}, {.epochs = 2, .stop_after = stop}, checkpoint).steps;
  };
  const AugmentationOptions before{.size = {8, 8}, .batch = 8, .seed = 3, .rotation = 10};
  CHECK(go_on(pictures, before, 2) == 2);
  const std::string saved = bytes(folder.path / "last.safetensors");
  const auto refused = [&](const Dataset& d, const AugmentationOptions& o, Index val_batch = 8, std::uint64_t seed = 1) {
    CHECK_THROWS_WITH_AS(go_on(d, o, 1, val_batch, seed), doctest::Contains("holds a training on other batches than now, by their pictures, size, seed or augmentation"), Error);
    CHECK(bytes(folder.path / "last.safetensors") == saved);
  };
  AugmentationOptions other = before;
  refused(pictures, (other.rotation = 11, other));
  refused(pictures, (other = before, other.seed = 4, other));
  refused(pictures, (other = before, other.batch = 12, other));
  refused(pictures, before, 12);
  refused(pictures, before, 8, 2);                                                         // dropout goes by the model's seed
  Dataset more = pictures;
  more.add(*pictures.samples[0].picture, 0);
  refused(more, before);
  Checkpoint nowhere(folder.path / "none");
  Halves train(8, 8, 1), val(8, 8, 2);
  Model<Net, Cpu> model({.batch = 8}, Cpu(1));
  CHECK_THROWS_WITH_AS(fit(model, train, val, Adam{}, Constant{}, {.epochs = 1}, nowhere), doctest::Contains("to keep a training in: make it first, or give another"), Error);
  CHECK(go_on(pictures, (other = before, other.workers = 3, other.prefetch = 5, other), 1) == 3);
}

TEST_CASE("another variant of the optimizer and another schedule are refused in a sentence") {
  lamina_test::TemporaryFolder folder, learned;
  train(folder.path, {.epochs = 1});
  const std::string before = bytes(folder.path / "last.safetensors");
  const auto with = [&](auto optimizer) { train<Net, Constant>(folder.path, {.epochs = 2}, "a", Constant{}, 1, "two pictures", optimizer); };
  CHECK_THROWS_WITH_AS(with(Adam{.amsgrad = true}), doctest::Contains("holds a training whose Adam has other options (it remembers 2 numbers for each parameter) than this one's (3): repeat its command"), Error);
  CHECK_THROWS_WITH_AS(with(Sgd{}), doctest::Contains("holds a training with the optimizer Adam and this one has Sgd"), Error);
  CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 2}, "a", ReduceOnPlateau{}), doctest::Contains("with a schedule that does not learn from the validation, and this one's does: repeat its command"), Error);
  CHECK(bytes(folder.path / "last.safetensors") == before);
  train(learned.path, {.epochs = 1}, "a", ReduceOnPlateau{});
  CHECK_THROWS_WITH_AS(train(learned.path, {.epochs = 2}), doctest::Contains("with a schedule that learns from the validation, and this one's does not: repeat its command"), Error);
}

TEST_CASE("the checkpoint before the last is kept, and a training goes on from it where the last is damaged") {
  lamina_test::TemporaryFolder folder, whole;
  const auto last = folder.path / "last.safetensors", previous = folder.path / "last.safetensors.previous";
  train(folder.path, {.epochs = 1});
  const std::string first = bytes(last);
  CHECK_FALSE(std::filesystem::exists(previous));
  train(folder.path, {.epochs = 2});
  CHECK(bytes(previous) == first);
  std::filesystem::resize_file(last, 1000);
  CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 3}), doctest::Contains(("or give " + previous.string() + " its name").c_str()), Error);
  std::filesystem::rename(previous, last);
  train(folder.path, {.epochs = 3});
  train(whole.path, {.epochs = 3});
  CHECK(bytes(last) == bytes(whole.path / "last.safetensors"));
}

TEST_CASE("a training does not begin over the files of another") {
  lamina_test::TemporaryFolder folder;
  const auto last = folder.path / "last.safetensors", best = folder.path / "best.safetensors", history = folder.path / "history.csv";
  train(folder.path, {.epochs = 2});
  const std::string weights = bytes(best), rows = bytes(history);
  const auto refuses = [&](const char* words) {
    CHECK_THROWS_WITH_AS(train(folder.path, {.epochs = 2}), doctest::Contains(words), Error);
    CHECK_FALSE(std::filesystem::exists(last));
  };
  std::filesystem::remove(last);
  refuses("holds last.safetensors.previous, best.safetensors, history.csv and no last.safetensors that a training goes on from: give another folder, or give last.safetensors.previous that name");
  std::filesystem::remove(folder.path / "last.safetensors.previous");
  refuses("holds best.safetensors, history.csv and no last.safetensors that a training goes on from: give another folder");
  CHECK(bytes(best) == weights);
  CHECK(bytes(history) == rows);
  std::filesystem::remove(best);
  refuses("holds history.csv and no last.safetensors");
  std::ofstream(history) << "name,age\nsomebody,44\n";
  refuses("holds history.csv and no last.safetensors");
  std::filesystem::remove(history);
  std::ofstream(best) << "somebody's";
  refuses("holds best.safetensors and no last.safetensors");
}

TEST_CASE("a training that was ended while its first epoch was saved begins again") {
  lamina_test::TemporaryFolder whole, killed;
  train(whole.path, {.epochs = 1});
  for (const char* left : {"history.csv", "best.safetensors"}) {              // in this order they are written, then last.safetensors
    std::filesystem::copy_file(whole.path / left, killed.path / left);
    train(killed.path, {.epochs = 1});
    CHECK(bytes(whole.path / "last.safetensors") == bytes(killed.path / "last.safetensors"));
    std::filesystem::remove(killed.path / "last.safetensors"), std::filesystem::remove(killed.path / "best.safetensors");
  }
}

TEST_CASE("a saved model predicts what it predicted, and knows its classes") {
  lamina_test::TemporaryFolder folder;
  Model<Net, Cpu> a({.batch = 8, .seed = 3}), b({.batch = 8, .seed = 4});
  const auto path = folder.path / "model.safetensors";
  save_model(path, a, {"left", "right"});
  const SafeTensors file = load_model(path, b);
  CHECK(classes_of(file) == std::vector<std::string>{"left", "right"});
  CHECK(file.metadata.at("input") == "8x8x1");
  CHECK(file.at("0.weight").shape == std::vector<Index>{3, 3, 1, 4});
  const std::vector<float> x(64 * 8, 0.25f);
  const float* y = a.forward(x.data(), 8);
  const std::vector<float> before(y, y + 16);
  y = b.forward(x.data(), 8);
  CHECK(before == std::vector<float>(y, y + 16));
}
