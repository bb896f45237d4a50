// Lesson 5: a training loop of one's own. fit() is a convenience: a model gives scores, losses and gradients, and everything else can be written by hand.
#include <cstdio>
#include <vector>

#include <lamina/lamina.hpp>

struct Net : lamina::Network<lamina::Input<8, 8, 1>, lamina::Conv<8, 3>, lamina::ReLU, lamina::MaxPool<2>, lamina::Flatten, lamina::Dense<16>, lamina::ReLU, lamina::Dense<2>> {};
constexpr lamina::Index batch = 32, pixels = size(Net::input);

// Noise with one brighter half: label 0 on the left, 1 on the right.
void draw(std::uint32_t step, std::vector<float>& x, std::vector<std::int32_t>& label) {
  const lamina::Random random(7, lamina::Stream::picture, 0, step);
  for (lamina::Index n = 0; n < batch; ++n) {
    label[n] = random(n) < 0.5;
    for (lamina::Index i = 0; i < pixels; ++i) x[n * pixels + i] = float(random(batch + n * pixels + i) + (i % 8 / 4 == label[n] ? 0.5 : 0));
  }
}

int main() {
  lamina::Model<Net, lamina::Cpu> model({.batch = batch, .seed = 1});
  lamina::OptimizerState<lamina::Sgd, lamina::Cpu, float> sgd(model.device(), {.momentum = 0.9}, model.parameter_count);
  std::vector<float> x(batch * pixels);
  std::vector<std::int32_t> label(batch);

  for (std::uint32_t step = 0; step < 200; ++step) {
    draw(step, x, label);
    model.zero_gradients();
    model.backpropagate({.n = batch, .x = x.data(), .label = label.data()});        // adds to model.gradients()
    sgd.step(model.parameters(), model.gradients(), 0.05);
    model.set_clock(step + 1);                                                      // what dropout's masks follow
    if (step % 50 == 49) {
      const lamina::Totals t = model.totals();
      std::printf("steps %u to %u: loss %.4f, accuracy %.1f %%\n", step - 48, step + 1, t.loss() / double(t.samples), 100 * double(t.correct) / double(t.samples));
      model.reset_totals();
    }
  }

  draw(1000, x, label);
  const float* scores = model.forward(x.data(), batch);                             // (32, 2)
  int right = 0;
  for (lamina::Index n = 0; n < batch; ++n) right += (scores[2 * n + 1] > scores[2 * n]) == (label[n] == 1);
  std::printf("%d of %td new pictures right\n", right, batch);
  return right < 30;
}
