/// make_odd_files FOLDER: writes the odd files of tests/data/odd_files.hpp.
#include <cstdio>

#include "../data/odd_files.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "give a folder\n"), 2;
  lamina_test::write_odd_files(argv[1]);
}
