/// The main program of every test on a GPU: it ends with 77 where there is none.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <lamina/cuda/cuda.hpp>

int main(int argc, char** argv) {
  if (!lamina::Cuda::count()) return std::puts("skipped: this machine has no GPU that a driver knows of"), 77;
  return doctest::Context(argc, argv).run();
}
