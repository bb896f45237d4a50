/// As many numbers as the kernels of this program work on at once.
#include <cstdio>
#include <lamina/cpu/simd.hpp>

int main(int count, char** words) { std::printf("%d %s\n", lamina::simd::width, count > 1 ? words[1] : ""); }
