/// Somebody else's program, with somebody else's warnings: it must build with what the package says and nothing more.
#include <cstdio>
#include <lamina/lamina.hpp>
#include <vector>

struct Net : lamina::Network<lamina::Input<8, 8, 3>, lamina::Conv<4, 3>, lamina::ReLU, lamina::Flatten, lamina::Dense<2>> {};

int main() {
  std::puts(lamina::summary<Net>(1).c_str());
  lamina::Model<Net, lamina::Cpu> model({.batch = 1, .seed = 1});
  const std::vector<float> picture(8 * 8 * 3, 0.5f);
  const float* score = model.forward(picture.data(), 1);
  std::printf("Lamina %d.%d.%d: %g %g\n", lamina::version.major, lamina::version.minor, lamina::version.patch, double(score[0]), double(score[1]));
  return score[0] == score[0] ? 0 : 1;
}
