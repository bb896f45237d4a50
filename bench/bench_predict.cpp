/// How fast is prediction, from pictures in memory to scores in memory?
/// bench_predict [--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--json]
#include "networks/networks.hpp"

int main(int argc, char** argv) try {
  const bench::Work work = bench::Work::of("bench_predict", "predict", argc, argv);
  bench::Made made = bench::model_of(work);
  const bench::Predict predict = made.predictor();
  const bench::Peer peer = bench::lamina_peer(*made.model);
  const auto& program = made.model->program();
  const lamina::Cpu device = made.model->device();
  made = {};                               // a predictor needs no model
  const std::vector<float> x = bench::noise(work);
  bench::Steps steps(work.seconds);
  do predict(x.data(), work.batch);
  while (steps.next());
  bench::report(work, peer, steps, bench::direct(work, program, device));
} catch (const lamina::Error& e) {
  return std::fprintf(stderr, "bench_predict: %s\n", e.what()), 1;
}
