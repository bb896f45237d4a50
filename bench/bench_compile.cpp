/// How long the compiler takes, and how much memory: bench_compile [--compiler g++] [--runs 3] [--flags -O2] [source ...]
/// Without sources it takes every .cpp of bench/compile and the tomato trainer. One row a source: the median of user + system seconds, the largest peak memory of the runs.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

struct Cost { double seconds, megabytes; };

/// Runs a program and waits for it; what its own children take counts too.
static Cost run(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[0], argv.data());
    std::perror(argv[0]);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
    std::fprintf(stderr, "bench_compile: %s does not compile %s\n", argv[0], command.back().c_str());
    std::exit(1);
  }
  const auto seconds = [](timeval t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime), double(usage.ru_maxrss) / 1024};   // ru_maxrss is in KiB
}

int main(int argc, char** argv) {
  std::string compiler = LAMINA_COMPILER, flags = "-O2";
  int runs = 3;
  std::vector<std::string> sources;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (is("--compiler")) compiler = argv[++i];
    else if (is("--flags")) flags = argv[++i];
    else if (is("--runs")) runs = std::max(1, std::atoi(argv[++i]));
    else if (argv[i][0] != '-') sources.push_back(argv[i]);
    else return std::fprintf(stderr, "bench_compile [--compiler g++] [--runs 3] [--flags -O2] [source ...]\n"), 2;
  }
  if (sources.empty()) {
    sources.push_back(LAMINA_TOMATO_SOURCE);
    for (const auto& entry : std::filesystem::directory_iterator(LAMINA_COMPILE_SOURCES))
      if (entry.path().extension() == ".cpp") sources.push_back(entry.path().string());
  }
  std::sort(sources.begin(), sources.end());

  std::printf("%s %s, median of %d\n%-24s %9s %9s\n", compiler.c_str(), flags.c_str(), runs, "source", "seconds", "MiB");
  for (const std::string& source : sources) {
    std::vector<Cost> costs;
    for (int r = 0; r < runs; ++r) costs.push_back(run({compiler, "@" LAMINA_COMPILE_OPTIONS, flags, "-c", "-o", "/dev/null", source}));
    std::sort(costs.begin(), costs.end(), [](Cost a, Cost b) { return a.seconds < b.seconds; });
    double peak = 0;
    for (const Cost& c : costs) peak = std::max(peak, c.megabytes);
    std::printf("%-24s %9.2f %9.0f\n", std::filesystem::path(source).stem().c_str(), costs[costs.size() / 2].seconds, peak);
    std::fflush(stdout);
  }
}
