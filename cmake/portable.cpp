/// Runs the program beside this one that was compiled for a processor like this: NAME-x86-64-v4 (AVX-512), NAME-x86-64-v3 (AVX2) or NAME-x86-64.
/// LAMINA_PROCESSOR=x86-64-v3 in the environment takes that one at most.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

int main(int, char** argv) {
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  const struct { const char* name; bool runs; } levels[] = {{"x86-64-v4", v4}, {"x86-64-v3", v3}, {"x86-64", true}};
  const char* const most = std::getenv("LAMINA_PROCESSOR");
  bool allowed = !most;

  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  for (const auto& level : levels) {
    allowed = allowed || !std::strcmp(most, level.name);
    if (allowed && level.runs && !failed) execv((self.string() + "-" + level.name).c_str(), argv);
  }
  if (!allowed) std::fprintf(stderr, "LAMINA_PROCESSOR is %s: say x86-64-v4, x86-64-v3 or x86-64\n", most);
  else std::fprintf(stderr, "cannot run %s-x86-64 (%s): it and its like belong beside this program\n", self.c_str(), std::strerror(failed ? failed.value() : errno));
  return 127;
}
