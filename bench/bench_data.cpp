/// How fast do pictures come? bench_data --pictures DIR [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--cache] [--json]
/// DIR holds class folders. Each picture is decoded, resized (the nearest pixel), sheared, zoomed, perhaps mirrored, and made numbers, as the `keras` recipe of the tomato trainer does it, on so many threads;
/// with --cache it is decoded and resized before the clock starts. Nothing takes the batches but the clock. bench/compare runs the same in Keras and torchvision.
#include <lamina/data/image_folder.hpp>
#include <lamina/data/iterator.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "work.hpp"

using namespace lamina;

namespace {

struct Options {
  std::string pictures;
  int size = 64, batch = 32, threads = 0;
  double seconds = 3;
  bool cache = false, listed = false;
};

std::optional<Options> read(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (is("--pictures")) o.pictures = argv[++i];
    else if (is("--size")) o.size = bench::size_of(argv[++i]);
    else if (is("--batch")) o.batch = bench::batch_of(argv[++i]);
    else if (is("--threads")) o.threads = bench::threads_of(argv[++i]);
    else if (is("--seconds")) o.seconds = bench::seconds_of(argv[++i]);
    else if (!std::strcmp(argv[i], "--cache")) o.cache = true;
    else if (!std::strcmp(argv[i], "--json")) o.listed = true;
    else return {};
  }
  if (o.pictures.empty()) return {};
  return o;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::optional<Options> o = read(argc, argv);
  if (!o) return std::fprintf(stderr, "bench_data --pictures DIR [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--cache] [--json]\n"), 2;
  AugmentationOptions options{.size = {o->size, o->size}, .batch = o->batch, .seed = 1, .shear = 0.2, .zoom = 0.2, .horizontal_flip = true, .workers = o->threads};
  if (!o->cache) options.cache_bytes = 0;
  const ImageFolder folder(o->pictures);
  AugmentationIterator pictures(folder, options);
  if (const auto bad = pictures.check(); !bad.empty()) throw Error(bad.size(), " pictures cannot be used, the first is ", bad[0].path, ": ", bad[0].problem);

  Index epoch = 0, taken = 0;
  const auto take_for = [&](double seconds) {
    const double begin = bench::now();
    double end = begin;
    for (taken = 0; end - begin < seconds; end = bench::now()) {
      Batch b;
      while (!pictures.next(b)) pictures.start(++epoch, 0);
      taken += b.n;
    }
    return end - begin;
  };
  pictures.start(epoch, 0);
  take_for(0.5);
  const double seconds = take_for(o->seconds), speed = double(taken) / seconds, ms = 1e3 * double(o->batch) / speed;
  const char* const settings = o->cache ? "cached" : "decoding";
  if (o->listed)
    std::printf("{\"peer\": \"Lamina\", \"settings\": \"%s\", \"version\": \"%s\", \"mode\": \"data\", \"size\": %d, \"batch\": %d, \"threads\": %d, \"pictures\": %td, \"images_per_s\": %.2f, \"step_ms_median\": %.4f, \"peak_rss_mb\": %.1f}\n",
                settings, jpeg_decoder, o->size, o->batch, o->threads, folder.size(), speed, ms, bench::peak_rss_mb());
  else
    std::printf("Lamina %s (%s) %s to %d x %d, batch %d: %.1f images/s, %.3f ms a batch, peak %.0f MB\n", settings, jpeg_decoder, o->pictures.c_str(), o->size, o->size, o->batch, speed, ms, bench::peak_rss_mb());
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_data: %s\n", e.what()), 1;
}
