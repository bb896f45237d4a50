/// How long does a picture take from its bytes to the size of a network, decoded whole and scaled (DecodeOptions::at_least)?
/// bench_decode FOLDER [SIDE]: all JPEGs and PNGs below the folder, one thread, in turns; medians of five rounds.
#include <lamina/data/decode.hpp>
#include <lamina/data/image_folder.hpp>
#include <lamina/data/resize.hpp>

#include <array>
#include <chrono>
#include <cstdio>

#include "work.hpp"

int main(int argc, char** argv) try {
  using namespace lamina;
  if (argc < 2) return std::fprintf(stderr, "bench_decode: give a folder of pictures\n"), 2;
  const int side = argc > 2 ? bench::size_of(argv[2]) : 64;
  std::vector<std::vector<std::uint8_t>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1]))
    if (is_picture(entry.path())) files.push_back(detail::read_file(entry.path()));
  std::printf("%zu pictures to %dx%d, JPEGs by %s\n", files.size(), side, side, jpeg_decoder);
  for (const auto& [name, kind] : {std::pair{"nearest", Interpolation::nearest}, {"bilinear", Interpolation::bilinear}, {"lanczos", Interpolation::lanczos}}) {
    std::array<std::vector<double>, 2> seconds;
    std::array<std::vector<std::uint8_t>, 2> made;
    for (int round = 0; round < 5; ++round)
      for (const std::size_t scaled : {0, 1}) {
        made[scaled].clear();
        const auto begin = std::chrono::steady_clock::now();
        for (const auto& file : files) {
          const Picture p = resize(decode(file, "x", {.at_least = scaled ? Size{side, side} : Size{}}), {side, side}, kind);
          made[scaled].insert(made[scaled].end(), p.pixels.begin(), p.pixels.end());
        }
        seconds[scaled].push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      }
    double difference = 0;
    for (std::size_t i = 0; i < made[0].size(); ++i) difference += std::abs(made[0][i] - made[1][i]);
    for (auto& s : seconds) std::sort(s.begin(), s.end());
    std::printf("%-8s whole %6.0f us, scaled %6.0f us, ratio %5.2f, mean difference %.2f levels\n", name, 1e6 * seconds[0][2] / double(files.size()), 1e6 * seconds[1][2] / double(files.size()),
                seconds[0][2] / seconds[1][2], difference / double(made[0].size()));
  }
} catch (const lamina::Error& e) {
  return std::fprintf(stderr, "bench_decode: %s\n", e.what()), 1;
}
