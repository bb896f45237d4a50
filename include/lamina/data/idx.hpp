/// The IDX files of MNIST and Fashion-MNIST (LeCun, Cortes and Burges): grey pictures in one file, their labels in another.
#pragma once
#include "dataset.hpp"
#include "gzip.hpp"

namespace lamina {

/// The pictures of the one file, (N, H, W) bytes, with the labels of the other, (N), in memory, one channel each, in the order of the files; both may be packed by gzip.
///   const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
///   const lamina::IdxFiles train(folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz");
struct IdxFiles : Dataset {
  /// The classes are "0" to "9" if none are named. Throws Error if a file is missing, is none of the format, is cut off or goes on after its end, if the files hold different
  /// numbers of pictures and labels, and if a label is none of the classes.
  [[gnu::cold]] IdxFiles(const std::filesystem::path& pictures, const std::filesystem::path& labels, const std::vector<std::string>& names = {}) {
    name = pictures.string(), classes = names;
    if (names.empty()) for (char digit = '0'; digit <= '9'; ++digit) classes.push_back({digit});
    const std::vector<std::uint8_t> x = read(pictures, 3), y = read(labels, 1);
    const Index n = detail::big_endian(x.data() + 4, 4), h = detail::big_endian(x.data() + 8, 4), w = detail::big_endian(x.data() + 12, 4), labelled = detail::big_endian(y.data() + 4, 4);
    if (const char* why = detail::too_large(h, w)) throw Error("the pictures of ", pictures, " are ", h, "x", w, " and cannot be used: ", why);
    if (n != labelled) throw Error(pictures, " holds ", n, " pictures and ", labels, " holds ", labelled, " labels: give the two files of one set");
    samples.reserve(std::size_t(n));
    for (Index i = 0; i < n; ++i) {
      const std::int32_t label = y[std::size_t(8 + i)];
      if (std::size_t(label) >= classes.size())
        throw Error("label ", i, " of ", labels, " is ", label, " and there are ", classes.size(), " classes, counted from 0: name all classes, or copy the file again");
      const std::uint8_t* const from = x.data() + 16 + i * h * w;
      add({int(h), int(w), 1, {from, from + h * w}}, label);
    }
  }

 private:
  /// The file, whose header says bytes of so many dimensions and which is as long as its header says. After the magic number comes each dimension, all four bytes, the highest first.
  [[gnu::cold]] static std::vector<std::uint8_t> read(const std::filesystem::path& path, int dimensions) {
    std::vector<std::uint8_t> bytes = detail::read_unpacked(path);
    const char* const kind = dimensions == 3 ? "pictures (idx3-ubyte)" : "labels (idx1-ubyte)";
    const std::size_t header = 4 + 4 * std::size_t(dimensions);
    if (bytes.size() < 4) throw Error("the file ", path, " has ", bytes.size(), " bytes and is no IDX file of ", kind, ": copy it again");
    if (const std::uint32_t magic = detail::big_endian(bytes.data(), 4); magic != 0x800u + std::uint32_t(dimensions))
      throw Error("the file ", path, " begins with the number ", magic, " and an IDX file of ", kind, " with ", 0x800 + dimensions, ": give that file");
    std::uint64_t expected = 1;
    for (int d = 0; d < dimensions && bytes.size() >= header; ++d) {
      const std::uint64_t side = detail::big_endian(bytes.data() + 4 + 4 * d, 4);
      if (side == 0) throw Error("the file ", path, " holds no ", kind, ": give one that does");
      expected = expected > UINT64_MAX / 2 / side ? UINT64_MAX / 2 : expected * side;
    }
    expected += header;
    if (bytes.size() < expected) throw Error("the file ", path, " has ", bytes.size(), " bytes of the ", expected, " that its header speaks of: it was not copied whole, copy it again");
    if (bytes.size() > expected) throw Error("the file ", path, " goes on for ", bytes.size() - expected, " bytes after the ", expected, " that its header speaks of: it is damaged, copy it again");
    return bytes;
  }
};

}  // namespace lamina
