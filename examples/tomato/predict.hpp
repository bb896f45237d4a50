/// `tomato evaluate` and `tomato predict`: what a trained network says of other pictures.
#pragma once
#include <functional>

#include <lamina/io/checkpoint.hpp>
#include <nlohmann/json.hpp>

#include "device.hpp"
#include "network.hpp"
#include "printable.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace tomato {

/// The checkpoint that MODEL means: a file, or the best one of a run's folder.
inline std::filesystem::path checkpoint_path(const std::filesystem::path& model) {
  if (!is_folder(model)) return model;
  const auto best = model / "best.safetensors", last = model / "last.safetensors";
  if (std::filesystem::exists(status_of(best))) return best;
  if (std::filesystem::exists(status_of(last))) throw lamina::Error(model, " holds no best.safetensors: give ", last, ", which is how the training stood last");
  throw lamina::Error(model, " holds no best.safetensors: give the --out folder of a training, or a .safetensors file");
}

/// The side of the pictures that a checkpoint's network takes.
inline int side_of(const lamina::SafeTensors& file, const std::filesystem::path& path) {
  const auto input = file.metadata.find("input");
  if (input == file.metadata.end()) throw lamina::Error(path, " does not say what pictures its network takes: it is no checkpoint of tomato train");
  const int side = std::atoi(input->second.c_str());
  if (side != 64 && side != 128 && side != 256)
    throw lamina::Error(path, " takes pictures of ", side, " pixels, and the networks of tomato train take 64, 128 or 256: it is no checkpoint of tomato train");
  return side;
}

/// What a checkpoint's network says of pictures: scores, and the names of its classes.
struct Answer {
  std::vector<std::string> names;
  lamina::Evaluation evaluation;
};

/// `pictures_of(class names)` is asked for once the checkpoint is known to be good. No pictures, no scores.
using PicturesOf = std::function<lamina::Dataset(const std::vector<std::string>&)>;
template <class D, class T> Answer ask_on(D device, T, const std::filesystem::path& where, int threads, const PicturesOf& pictures_of) {
  const std::filesystem::path path = checkpoint_path(where);
  const lamina::SafeTensors file = lamina::read_safetensors(path);
  const int side = side_of(file, path);
  Answer answer{lamina::classes_of(file), {}};
  if (const std::size_t count = answer.names.size(); count != std::size_t(classes))
    throw lamina::Error(path, " tells ", count, " classes apart and this program was built for ", classes, ": ", how_to_build(count));
  lamina::ModelBase<D, T> model(program<D, T>(side), {.batch = evaluation_batch}, std::move(device));
  restore_model(model, file, path);
  lamina::Dataset set = pictures_of(answer.names);
  if (!set.size()) return answer;
  lamina::EvaluationIterator pictures(std::move(set), evaluation(side, threads));
  if (const auto bad = pictures.check(); !bad.empty()) {                  // all are named, the last by the sentence that the program ends with
    for (std::size_t i = 0; i + 1 < bad.size(); ++i) std::fprintf(stderr, "tomato: %s\n", printable(bad[i].problem).c_str());
    throw lamina::Error(bad.back().problem);
  }
  answer.evaluation = lamina::evaluate(model, pictures);
  return answer;
}
template <class Settings> Answer ask(const Settings& s, const PicturesOf& pictures_of) {
  return on_device(s, [&](auto device, auto number) { return ask_on(std::move(device), number, s.model, s.threads, pictures_of); });
}

inline int evaluate(const EvaluateSettings& s) {
  const auto [names, e] = ask(s, [&](const std::vector<std::string>& names) {
    if (const auto val = s.data / "val"; is_folder(s.data / "train") && is_folder(val))
      throw lamina::Error(s.data, " holds train/ and val/, and one folder of class folders can be evaluated: give ", val);
    return lamina::ImageFolder(s.data, names);
  });
  const auto& c = e.confusion;
  const double first = lamina::top_k_accuracy(e.scores.data(), e.truth.data(), e.samples(), e.classes, std::min<lamina::Index>(3, e.classes));
  if (s.json) {
    nlohmann::json j{{"samples", e.samples()}, {"loss", e.loss}, {"accuracy", e.accuracy}, {"top_3_accuracy", first}, {"macro_f1", c.macro_f1()}};
    put_classes(j, names, c);
    std::printf("%s\n", j.dump(2).c_str());
    return 0;
  }
  std::printf("%td pictures: loss %s, accuracy %.2f %%, among the first three %.2f %%, macro F1 %.4f\n\n", e.samples(),
              lamina::detail::loss_text(e.loss).c_str(), 100 * e.accuracy, 100 * first, c.macro_f1());
  std::printf("%-52s %9s %9s %9s %9s\n", "class", "precision", "recall", "F1", "pictures");
  for (lamina::Index k = 0; k < e.classes; ++k)
    std::printf("%-52s %9.4f %9.4f %9.4f %9td\n", printable(names[std::size_t(k)]).c_str(), c.precision(k), c.recall(k), c.f1(k), c.support(k));
  return 0;
}

namespace detail {
/// Adds the pictures in a folder, at any depth; names that begin with a dot are passed over, and links to folders too.
inline void find_pictures(const std::filesystem::path& folder, std::vector<std::filesystem::path>& found) {
  std::error_code failed, unknown;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    const std::filesystem::path& path = it->path();
    if (path.filename().native().starts_with('.')) continue;
    if (!it->is_directory(unknown)) {
      if (lamina::is_picture(path)) found.push_back(path);
    } else if (!it->is_symlink(unknown)) {
      find_pictures(path, found);
    }
  }
  if (failed) throw lamina::Error("the folder ", folder, " cannot be read (", failed.message(), "): check that it may be read by this user, or take it away");
}

/// The pictures that the arguments name: files as they are, folders at any depth in the order of their names.
inline lamina::Dataset named_pictures(const std::vector<std::filesystem::path>& arguments, const std::vector<std::string>& names) {
  lamina::Dataset set;
  set.classes = names;
  for (const auto& argument : arguments) {
    const auto status = status_of(argument);
    if (!std::filesystem::exists(status)) throw lamina::Error("there is no picture and no folder ", argument, ": check the path");
    if (!std::filesystem::is_directory(status)) {
      set.samples.push_back({argument, 0, nullptr, argument.string(), 0});
      continue;
    }
    std::vector<std::filesystem::path> found;
    find_pictures(argument, found);
    if (found.empty()) throw lamina::Error("the folder ", argument, " holds no pictures (jpg, jpeg, png): give another, or put some into it");
    std::sort(found.begin(), found.end());
    for (const auto& path : found) set.samples.push_back({path, 0, nullptr, path.string(), 0});
  }
  return set;
}

inline std::string quoted(const std::string& s) {
  std::string q = "\"";
  for (char c : s) q += c == '"' ? std::string("\"\"") : std::string(1, c);
  return q + "\"";
}
}  // namespace detail

/// Unreadable pictures are told on standard error, the others are answered; then the exit code is 1.
inline int predict(const PredictSettings& s) {
  lamina::Dataset set;
  bool all_readable = true;
  const auto [names, e] = ask(s, [&](const std::vector<std::string>& classes) {
    set = detail::named_pictures(s.pictures, classes);
    for (const auto& b : lamina::check(set, s.threads)) {
      all_readable = false;
      std::fprintf(stderr, "tomato: %s\n", printable(b.problem).c_str());
      std::erase_if(set.samples, [&](const lamina::Sample& sample) { return sample.path == b.path; });
    }
    return set;
  });
  nlohmann::json all = nlohmann::json::array();
  if (s.format == "csv") std::printf("picture,class,probability\n");
  for (lamina::Index i = 0; i < e.samples(); ++i) {
    const std::string& picture = set.samples[std::size_t(i)].name;
    const auto p = lamina::softmax(e.of(i), e.classes);
    const std::size_t best = std::size_t(e.predicted(i));
    if (s.format == "text") std::printf("%s: %s (%.1f %%)\n", printable(picture).c_str(), printable(names[best]).c_str(), 100 * p[best]);
    else if (s.format == "csv") std::printf("%s,%s,%.6f\n", detail::quoted(picture).c_str(), detail::quoted(names[best]).c_str(), p[best]);
    else {
      nlohmann::json probabilities;
      for (std::size_t k = 0; k < names.size(); ++k) probabilities[names[k]] = p[k];
      all.push_back({{"picture", picture}, {"class", names[best]}, {"probability", p[best]}, {"probabilities", probabilities}});
    }
  }
  if (s.format == "json") std::printf("%s\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return all_readable ? 0 : 1;
}

}  // namespace tomato
