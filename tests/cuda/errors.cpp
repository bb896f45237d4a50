// What goes wrong on a GPU, on an emulated one.
#include "../support/emulator/emulated.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

TEST_CASE("a batch that does not fit is told with the largest that does") {
  using M = Model<SmallLeaf, Emulated, bf16>;
  const auto refusal = [](Index batch, Index free) -> std::string {
    Emulated gpu;
    gpu.set_free_bytes(free);
    try {
      M({.batch = batch}, gpu);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  CHECK(refusal(64, 1 << 30) == "");
  const std::string words = refusal(1 << 20, 1 << 20);
  CHECK(words.find("a model for batches of 1048576 samples needs ") == 0);
  const std::string before = " MiB and an emulated GPU has 1 MiB free: the largest batch that fits is ";
  REQUIRE(words.find(before) != std::string::npos);
  const Index fits = std::atol(words.substr(words.find(before) + before.size()).c_str());
  CHECK(fits > 1);
  CHECK(refusal(fits, 1 << 20) == "");
  CHECK(refusal(fits + 1, 1 << 20) != "");
  CHECK(refusal(8, 1000).find("not one sample fits, take a smaller network") != std::string::npos);
}
