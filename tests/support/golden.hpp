/// The numbers that PyTorch, Keras and Pillow computed, where they are at hand.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <optional>

#include <doctest/doctest.h>
#include <lamina/io/safetensors.hpp>
#include <nlohmann/json.hpp>

namespace lamina_test {

/// The folder: what LAMINA_GOLDEN names, which then has to be there, or ../shared/golden beside the source tree. Where a program has made no assertion at the
/// end, for want of these files, CTest and Meson call it skipped.
inline std::filesystem::path golden_folder() {
  if (const char* named = std::getenv("LAMINA_GOLDEN")) {
    std::error_code unknown;
    if (!std::filesystem::is_directory(named, unknown)) FAIL("LAMINA_GOLDEN names the folder \"", std::string(named), "\", which is not there: correct it or unset it");
    return named;
  }
#ifdef LAMINA_SOURCE_DIR
  return std::filesystem::path(LAMINA_SOURCE_DIR) / "../shared/golden";
#else
  return "../shared/golden";
#endif
}

/// One file of it, or nothing and a word that the test is skipped: `const auto file = golden_file("layers.safetensors"); if (!file) return;`
inline std::optional<lamina::SafeTensors> golden_file(const std::string& name) {
  const std::filesystem::path path = golden_folder() / name;
  if (std::filesystem::exists(path)) return lamina::read_safetensors(path);
  MESSAGE("skipped: ", path.string(), " is not there");
  return std::nullopt;
}

/// The same for a file of JSON.
inline std::optional<nlohmann::json> golden_json(const std::string& name) {
  const std::filesystem::path path = golden_folder() / name;
  if (std::filesystem::exists(path)) return nlohmann::json::parse(lamina::read_file_whole(path));
  MESSAGE("skipped: ", path.string(), " is not there");
  return std::nullopt;
}

/// The list of cases in a file: objects with "name", "op" and options; the tensors of a case are called name/...
inline nlohmann::json cases(const lamina::SafeTensors& file) { return nlohmann::json::parse(file.metadata.at("cases")); }

}  // namespace lamina_test
