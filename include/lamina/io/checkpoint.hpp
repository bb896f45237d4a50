/// Saving and resuming: a model as a safetensors file, and a training as the folder it can be taken up from.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "../nn/summary.hpp"
#include "../train/fit.hpp"
#include "file.hpp"
#include "history.hpp"
#include "safetensors.hpp"

namespace lamina {

namespace detail {
/// A double as text that reads back to the same bits.
[[gnu::cold]] inline std::string exact(double v) {
  char s[40];
  std::snprintf(s, sizeof s, "%a", v);
  return s;
}

template <class T> std::vector<T> on_host(auto& device, const T* p, Index count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  device.download(host.data(), p, host.size() * sizeof(T));
  return host;
}
[[gnu::cold]] inline std::vector<Index> sides(const Dims& d) { return {d.side, d.side + d.rank}; }

/// The network in words, as a checkpoint remembers it.
[[gnu::cold]] inline std::string network_text(Shape input, std::span<const Row<Op>> layers) {
  std::string s = sentence({"Input<", input.h, ", ", input.w, ", ", input.c, ">"});
  for (const auto& r : layers) if (r.role != Role::split) (s += ", ") += written(r.name->s);
  return s;
}

/// The first layer of such a text, which is taken off it with the comma behind.
[[gnu::cold]] inline std::string_view take_layer(std::string_view& network) {
  std::size_t end = 0;
  for (Index depth = 0; end < network.size() && (depth || network[end] != ','); ++end) depth += (network[end] == '<') - (network[end] == '>');
  const std::string_view layer = network.substr(0, end);
  network.remove_prefix(std::min(end + 2, network.size()));
  return layer;
}
/// Throws unless both texts are of the same network; the sentence says where they part.
[[gnu::cold]] inline void require_network(std::string_view theirs, std::string_view ours, const std::filesystem::path& path) {
  if (theirs == ours) return;
  Index k = 0;
  std::string_view a = take_layer(theirs), b = take_layer(ours);
  for (; a == b && !a.empty(); ++k) a = take_layer(theirs), b = take_layer(ours);
  throw Error(path, " is a checkpoint of another network: it has ", a.empty() ? "nothing" : a, " where this one has ", b.empty() ? "nothing" : b, " (layer ", k,
              "; the input is layer 0): load it into the network that it was made with, or give another file");
}

/// Each named tensor of a block of parameters (or of state, if not learned), under prefix + its name.
template <class T> [[gnu::cold]] void put_block(SafeTensors& file, const std::string& prefix, const std::vector<NamedTensor>& tensors, const T* block, bool learned) {
  for (const NamedTensor& t : tensors)
    if (t.learned == learned) file.put(prefix + t.name, sides(t.dims), block + t.at);
}
template <class T>
[[gnu::cold]] void take_block(const SafeTensors& file, const std::string& prefix, const std::vector<NamedTensor>& tensors, T* block, bool learned, const std::filesystem::path& path) {
  for (const NamedTensor& t : tensors) {
    if (t.learned != learned) continue;
    const SafeTensor& from = file.at(prefix + t.name);
    if (from.shape != sides(t.dims)) throw Error(path, ": the tensor ", prefix, t.name, " has another shape than the network's; it is a checkpoint of another network");
    const auto numbers = from.template as<T>();
    std::copy(numbers.begin(), numbers.end(), block + t.at);
  }
}
[[gnu::cold]] inline const std::string& meta(const SafeTensors& file, const char* key) {
  const auto at = file.metadata.find(key);
  if (at == file.metadata.end()) throw Error(file.path, " says nothing of \"", key, "\": it is no checkpoint that a training can go on from");
  return at->second;
}
template <class Opt, class D, class T> std::string optimizer_name(const OptimizerState<Opt, D, T>&) {
  return name_of<Opt>.s;
}
[[gnu::cold]] inline std::vector<std::string> parse_metadata_list(const SafeTensors& file, const char* key, const std::string& text) {
  try {
    return parse_json_list(text);
  } catch (const Error& e) {
    throw Error(file.path, ": the metadata \"", key, "\" ", e.what(), ": it is no checkpoint of Lamina");
  }
}
}  // namespace detail

namespace detail {
template <class M> [[gnu::cold]] SafeTensors model_tensors(M& model, const std::vector<std::string>& classes) {
  SafeTensors file;
  const auto& program = model.program();
  const std::vector<NamedTensor> tensors = model.tensors();
  put_block(file, "", tensors, on_host(model.device(), model.parameters(), program.parameters).data(), true);
  put_block(file, "", tensors, on_host(model.device(), model.state(), program.state).data(), false);
  file.metadata["network"] = network_text(program.input, program.layers);
  file.metadata["input"] = text(program.input).s;
  file.metadata["classes"] = json_list(classes);
  return file;
}
template <class M> [[gnu::cold]] void restore_model(M& model, const SafeTensors& file, const std::filesystem::path& path) {
  const auto& program = model.program();
  const auto says = file.metadata.find("network");
  if (says != file.metadata.end()) require_network(says->second, network_text(program.input, program.layers), path);
  const std::vector<NamedTensor> tensors = model.tensors();
  auto w = on_host(model.device(), model.parameters(), program.parameters);
  auto state = on_host(model.device(), model.state(), program.state);
  take_block(file, "", tensors, w.data(), true, path);
  take_block(file, "", tensors, state.data(), false, path);
  model.device().upload(model.parameters(), w.data(), w.size() * sizeof w[0]);
  model.device().upload(model.state(), state.data(), state.size() * sizeof state[0]);
}
}  // namespace detail

/// The weights and running values of a model with the names of its classes.
template <class M> SafeTensors model_tensors(M& model, const std::vector<std::string>& classes) { return detail::model_tensors(model.base(), classes); }

/// What a file says of the classes it tells apart, in the order of the scores.
inline std::vector<std::string> classes_of(const SafeTensors& file) {
  const auto at = file.metadata.find("classes");
  return at == file.metadata.end() ? std::vector<std::string>{} : detail::parse_metadata_list(file, "classes", at->second);
}

/// Writes a model whole, or leaves what was there. Throws Error.
template <class M> void save_model(const std::filesystem::path& path, M& model, const std::vector<std::string>& classes) { write_safetensors(path, model_tensors(model, classes)); }

/// Throws Error if the file is damaged or holds another network; then the model is as it was.
template <class M> void restore_model(M& model, const SafeTensors& file, const std::filesystem::path& path) { detail::restore_model(model.base(), file, path); }
template <class M> SafeTensors load_model(const std::filesystem::path& path, M& model) {
  SafeTensors file = read_safetensors(path);
  restore_model(model, file, path);
  return file;
}

/// A callback that keeps a training in a folder: last.safetensors after every epoch and when it is stopped, the one before it as last.safetensors.previous,
/// best.safetensors by validation accuracy, history.csv; and of an epoch that was stopped in its midst, interrupted.csv with the seconds so far. Where last.safetensors is, the training goes on
/// from it, to the bit: other pictures, batches, seeds or augmentation than before are refused, as far as the sources say what they hand out (FingerprintedSource), and so is another text of
/// `settings`, or of `data` for what it is trained on. A folder that holds the other files alone is refused too, unless a first epoch left them that was ended while it was saved.
class Checkpoint {
 public:
  explicit Checkpoint(std::filesystem::path folder, std::vector<std::string> classes = {}, std::string settings = {}, std::string data = {})
      : folder_(std::move(folder)), classes_(std::move(classes)), settings_(std::move(settings)), data_(std::move(data)) {}

  double best_accuracy() const { return best_accuracy_; }
  Index best_epoch() const { return best_epoch_; }
  std::filesystem::path last() const { return path_of("last.safetensors"); }
  std::filesystem::path best() const { return path_of("best.safetensors"); }

  template <class R> [[gnu::cold]] void start(R& run) {
    std::error_code failed;
    if (!std::filesystem::is_directory(folder_, failed)) throw Error("there is no folder ", folder_, " to keep a training in: make it first, or give another");
    handed_out_ = detail::sentence({"model seed ", run.model.seed(), run.handed_out()});
    if (!std::filesystem::exists(last(), failed)) {
      if (failed) throw Error("cannot look at ", last(), " (", failed.message(), "): change the permissions, or give another folder");
      return keep_remains();
    }
    const SafeTensors file = read_last();
    const auto number = [&](const char* key) { return Index(std::strtoll(detail::meta(file, key).c_str(), nullptr, 10)); };
    const auto real = [&](const char* key) { return std::strtod(detail::meta(file, key).c_str(), nullptr); };
    if (detail::meta(file, "settings") != settings_)
      throw Error(folder_, " holds a training begun with other settings (", detail::meta(file, "settings"), ") than these (", settings_, "): repeat its command, or give another folder");
    if (const std::string& theirs = detail::meta(file, "data"); theirs != data_)
      throw Error(folder_, " holds a training with these settings on other data (", theirs, ") than now (", data_,
                  "): undo what was added, taken away or changed there, or give another folder");
    if (detail::meta(file, "handed_out") != handed_out_)
      throw Error(folder_, " holds a training on other batches than now, by their pictures, size, seed or augmentation, of training or of validation, or with another seed of the model: give them what they had, or give another folder"
                  " (with load_model, another training may begin from the weights of this one)");
    const std::string optimizer = detail::optimizer_name(run.optimizer);
    if (const std::string& theirs = detail::meta(file, "optimizer"); theirs != optimizer)
      throw Error(folder_, " holds a training with the optimizer ", theirs, " and this one has ", optimizer, ": repeat its command, or give another folder");
    const Index parameters = run.model.program().parameters, remembered = slots_of(file);
    if (remembered * parameters != run.optimizer.state_count())
      throw Error(folder_, " holds a training whose ", optimizer, " has other options (it remembers ", remembered, " numbers for each parameter) than this one's (",
                  run.optimizer.optimizer().slots(), "): repeat its command, or give another folder");
    constexpr bool learns = requires { run.schedule.restore(std::vector<double>{}); };
    if (file.metadata.contains("schedule") != learns)
      throw Error(folder_, " holds a training with a schedule that ", learns ? "does not learn" : "learns", " from the validation, and this one's ", learns ? "does" : "does not",
                  ": repeat its command, or give another folder");
    restore_model(run.model, file, last());
    std::vector<typename R::Model::Parameter> slots(static_cast<std::size_t>(run.optimizer.state_count()));
    const std::vector<NamedTensor> tensors = run.model.tensors();
    for (Index k = 0, at = 0; at < std::ssize(slots); ++k, at += parameters)
      detail::take_block(file, "optimizer." + std::to_string(k) + ".", tensors, slots.data() + at, true, last());
    run.model.device().upload(run.optimizer.state(), slots.data(), slots.size() * sizeof slots[0]);
    run.optimizer.restore(number("step"));
    run.epoch = number("epoch"), run.batch = number("batch"), run.step = number("step");
    run.model.reset_totals(totals_of(file));
    best_accuracy_ = real("best_accuracy"), best_epoch_ = number("best_epoch");
    if constexpr (learns) {
      std::vector<double> state;
      for (const std::string& v : detail::parse_metadata_list(file, "schedule", detail::meta(file, "schedule"))) state.push_back(std::strtod(v.c_str(), nullptr));
      run.schedule.restore(state);
    }
    run.history = read_history(path_of("history.csv"), run.epoch);
    if (run.batch) run.now = beginning(run.epoch + 1);
    if (best_epoch_ && !is_there(best())) best_accuracy_ = 0, best_epoch_ = 0;      // the best of those to come is kept
  }

  template <class R> [[gnu::cold]] void epoch(R& run) {
    write_history(path_of("history.csv"), run.history);
    if (run.now.val_accuracy > best_accuracy_ || !best_epoch_) {
      best_accuracy_ = run.now.val_accuracy, best_epoch_ = run.now.epoch;
      SafeTensors file = model_tensors(run.model, classes_);
      file.metadata["epoch"] = std::to_string(run.epoch);
      file.metadata["val_accuracy"] = detail::exact(run.now.val_accuracy);
      write_safetensors(best(), file);
    }
    save(run);
    std::error_code ignored;
    std::filesystem::remove(interrupted(), ignored);
  }

  template <class R> [[gnu::cold]] void finish(R& run) {
    if (!run.batch) return;
    save(run);
    if (run.now.epoch) write_history(interrupted(), {run.now});
  }

 private:
  [[gnu::cold]] std::filesystem::path path_of(const char* name) const { return folder_ / name; }

  std::filesystem::path previous() const { return path_of("last.safetensors.previous"); }
  std::filesystem::path interrupted() const { return path_of("interrupted.csv"); }
  /// What the part of an epoch took that was run before the training was stopped; nothing if that is not known.
  [[gnu::cold]] EpochRow beginning(Index epoch) const try {
    const std::vector<EpochRow> rows = read_history(interrupted(), epoch);
    return rows.size() == 1 ? rows[0] : EpochRow{};
  } catch (const Error&) {
    return {};
  }
  [[gnu::cold]] static bool is_there(const std::filesystem::path& path) {
    std::error_code failed;
    return std::filesystem::exists(path, failed);
  }

  [[gnu::cold]] SafeTensors read_last() const try {
    return read_safetensors(last());
  } catch (const Error& e) {
    if (!is_there(previous())) throw;
    throw Error(e.what(), ", or give ", previous(), " its name, which is the checkpoint before it");
  }

  /// Numbers that the optimizer of a checkpoint remembers for each parameter.
  [[gnu::cold]] static Index slots_of(const SafeTensors& file) {
    const auto has = [&](const std::string& prefix) {
      const auto at = file.tensors.lower_bound(prefix);
      return at != file.tensors.end() && at->first.starts_with(prefix);
    };
    Index k = 0;
    while (has("optimizer." + std::to_string(k) + ".")) ++k;
    return k;
  }

  /// What the batches of an epoch that was stopped in its midst add up to.
  [[gnu::cold]] static Totals totals_of(const SafeTensors& file) {
    const auto number = [&](const char* key) { return std::strtoll(detail::meta(file, key).c_str(), nullptr, 10); };
    Totals t{.samples = number("total_samples"), .correct = number("total_correct")};
    const std::vector<std::string> losses = detail::parse_metadata_list(file, "total_losses", detail::meta(file, "total_losses"));
    for (std::size_t i = 0; i < std::min<std::size_t>(losses.size(), shares); ++i) t.losses[i] = std::strtod(losses[i].c_str(), nullptr);
    return t;
  }

  /// Throws if a training that begins would write over another one's files.
  [[gnu::cold]] void keep_remains() const {
    std::string found;
    for (const char* name : {"last.safetensors.previous", "best.safetensors", "history.csv"})
      if (is_there(path_of(name))) (found += found.empty() ? "" : ", ") += name;
    if (found.empty() || ended_in_first_epoch()) return;
    throw Error(folder_, " holds ", found, " and no last.safetensors that a training goes on from: give another folder, or ",
                is_there(previous()) ? "give last.safetensors.previous that name, which is the checkpoint before it" : "take away what it holds");
  }
  /// Whether history.csv and best.safetensors are those of a first epoch, which a training that was ended just then writes again.
  [[gnu::cold]] bool ended_in_first_epoch() const try {
    if (is_there(previous())) return false;
    const std::string history = read_file_whole(path_of("history.csv"));
    if (history_text(parse_history(history, 1, "history.csv")) != history) return false;
    return !is_there(best()) || detail::meta(read_safetensors(best()), "epoch") == "1";
  } catch (const Error&) {
    return false;
  }

  template <class R> [[gnu::cold]] void save(R& run) {
    SafeTensors file = model_tensors(run.model, classes_);
    const std::vector<NamedTensor> tensors = run.model.tensors();
    const Index parameters = run.model.program().parameters;
    for (Index k = 0; k * parameters < run.optimizer.state_count(); ++k)
      detail::put_block(file, "optimizer." + std::to_string(k) + ".", tensors, detail::on_host(run.model.device(), run.optimizer.state() + k * parameters, parameters).data(), true);
    const Totals t = run.model.totals();
    const auto note = [&](const char* key, std::string value) __attribute__((noinline)) { file.metadata[key] = std::move(value); };
    const auto count = [&](const char* key, Index value) __attribute__((noinline)) { note(key, std::to_string(value)); };
    note("settings", settings_), note("data", data_), note("handed_out", handed_out_), note("optimizer", detail::optimizer_name(run.optimizer));
    count("epoch", run.epoch), count("batch", run.batch), count("step", run.step);
    std::vector<std::string> losses;
    for (const double loss : t.losses) losses.push_back(detail::exact(loss));
    note("total_losses", detail::json_list(losses)), count("total_samples", t.samples), count("total_correct", t.correct);
    note("best_accuracy", detail::exact(best_accuracy_)), count("best_epoch", best_epoch_);
    if constexpr (requires { run.schedule.restore(std::vector<double>{}); }) {
      std::vector<std::string> state;
      for (double v : run.schedule.state()) state.push_back(detail::exact(v));
      note("schedule", detail::json_list(state));
    }
    write_safetensors(last(), file, {.keep_previous = true});
  }

  std::filesystem::path folder_;
  std::vector<std::string> classes_;
  std::string settings_, data_;
  std::string handed_out_;                               // in all epochs, and the seed that dropout goes by
  double best_accuracy_ = 0;
  Index best_epoch_ = 0;
};

}  // namespace lamina
