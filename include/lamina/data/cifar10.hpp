/// The binary files of CIFAR-10 (Krizhevsky 2009): colour pictures of 32 x 32, each behind its label.
#pragma once
#include "dataset.hpp"
#include "gzip.hpp"

namespace lamina {

/// The pictures of data_batch_1.bin, ..., test_batch.bin in memory, in the order of the files; they may be packed by gzip, each by itself.
///   const std::filesystem::path folder = "cifar-10-batches-bin";
///   const lamina::Cifar10 test(folder / "test_batch.bin"), train{folder / "data_batch_1.bin", folder / "data_batch_2.bin"};
struct Cifar10 : Dataset {
  [[gnu::cold]] explicit Cifar10(const std::filesystem::path& file) : Cifar10(std::vector{file}) {}
  [[gnu::cold]] Cifar10(std::initializer_list<std::filesystem::path> files) : Cifar10(std::vector(files)) {}
  /// The classes are named as in batches.meta.txt beside the first file, or where there is none as the authors name them. Throws Error if a file is missing, is none of the
  /// format or is cut off, and if a label is none of the ten.
  [[gnu::cold]] explicit Cifar10(const std::vector<std::filesystem::path>& files) {
    if (files.empty()) throw Error("no files of CIFAR-10 were given: give data_batch_1.bin and the others");
    name = files[0].parent_path().string();
    if (files.size() == 1 || name.empty()) name = files[0].string();
    classes = names_beside(files[0]);
    for (const auto& file : files) add_file(file);
  }

 private:
  static constexpr int side = 32, pixels = side * side;

  [[gnu::cold]] static std::vector<std::string> names_beside(const std::filesystem::path& file) {
    const std::filesystem::path path = file.parent_path() / "batches.meta.txt";
    if (std::error_code unknown; !std::filesystem::exists(path, unknown))
      return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    const std::vector<std::uint8_t> text = detail::read_unpacked(path);
    std::vector<std::string> names(1);
    for (const std::uint8_t c : text)
      if (c == '\n' && !names.back().empty()) names.emplace_back();
      else if (c != '\n' && c != '\r') names.back() += char(c);
    if (names.back().empty()) names.pop_back();
    if (names.size() != 10) throw Error("the file ", path, " names ", names.size(), " classes, and CIFAR-10 has ten, a line each: correct it, or take it away");
    return names;
  }

  /// Records of a byte that is the label and the pixels (C, H, W).
  [[gnu::cold]] void add_file(const std::filesystem::path& path) {
    constexpr std::size_t record = 1 + 3 * pixels;
    const std::vector<std::uint8_t> bytes = detail::read_unpacked(path);
    if (bytes.empty() || bytes.size() % record)
      throw Error("the file ", path, " has ", bytes.size(), " bytes, and pictures of CIFAR-10 take ", record, " each: it was not copied whole, or is not of the binary version; copy it again");
    for (std::size_t at = 0; at < bytes.size(); at += record) {
      if (bytes[at] > 9) throw Error("label ", at / record, " of ", path, " is ", int(bytes[at]), " and there are ten classes, counted from 0: the file is damaged, copy it again");
      Picture p{side, side, 3, std::vector<std::uint8_t>(3 * pixels)};
      for (std::size_t i = 0; i < pixels; ++i)
        for (std::size_t c = 0; c < 3; ++c) p.pixels[3 * i + c] = bytes[at + 1 + c * pixels + i];
      add(std::move(p), bytes[at]);
    }
  }
};

}  // namespace lamina
