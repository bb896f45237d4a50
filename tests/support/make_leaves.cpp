/// Class folders of drawn leaves for the tests of the trainer: make_leaves FOLDER COUNT SIZE [CLASSES] writes COUNT pictures of SIZE pixels for each class.
#include <lamina/io/file.hpp>
#include <lamina/io/picture.hpp>

#include "../../examples/tomato/leaves.hpp"

int main(int argc, char** argv) try {
  if (argc < 4) throw lamina::Error("make_leaves was given ", argc - 1, " arguments: give FOLDER COUNT SIZE [CLASSES]");
  const std::filesystem::path folder = argv[1];
  const int count = std::atoi(argv[2]), size = std::atoi(argv[3]), classes = argc > 4 ? std::atoi(argv[4]) : int(tomato::diseases.size());
  for (int disease = 0; disease < classes; ++disease) {
    const std::filesystem::path of_class = folder / tomato::diseases[std::size_t(disease)];
    std::filesystem::create_directories(of_class);
    for (int i = 0; i < count; ++i) {
      const auto pixels = tomato::draw_leaf(disease, size, lamina::Random(7, lamina::Stream::picture, 0, std::uint32_t(disease * count + i)));
      lamina::write_file_whole(of_class / ("leaf " + std::to_string(i) + ".png"), lamina::png_bytes(pixels.data(), {size, size, 3}));
    }
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "make_leaves: %s\n", e.what());
  return 1;
}
