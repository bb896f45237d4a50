/// How long the compiler takes, and how much memory: bench_compile [--compiler g++] [--runs 3] [--flags -O2] [source ...]
/// Without sources it takes every .cpp of bench/compile, and the tomato trainer as a build with two cores compiles it: its sources at once. One row a program: the median of
/// the seconds from begin to end, of user + system seconds, and the largest peak memory of a compiler.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "work.hpp"

struct Cost { double seconds = 0, processor = 0, megabytes = 0; };
using Words = std::vector<std::string>;

static pid_t start(const Words& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[0], argv.data());
    std::perror(argv[0]);
    _exit(127);
  }
  return child;
}

/// Compiles the sources at once; what the compilers' own children take counts too.
static Cost compile(const Words& command, const Words& sources) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (const std::string& source : sources) {
    Words whole = command;
    whole.push_back(source);
    children.push_back(start(whole));
  }
  Cost cost;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    int status = 0;
    rusage usage{};
    if (children[i] < 0 || wait4(children[i], &status, 0, &usage) != children[i] || status != 0) {
      std::fprintf(stderr, "bench_compile: %s does not compile %s\n", command[0].c_str(), sources[i].c_str());
      std::exit(1);
    }
    const auto seconds = [](timeval t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
    cost.processor += seconds(usage.ru_utime) + seconds(usage.ru_stime);
    cost.megabytes = std::max(cost.megabytes, double(usage.ru_maxrss) / 1024);   // ru_maxrss is in KiB
  }
  cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return cost;
}

static Words sources_in(const char* folder) {
  Words sources;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".cpp") sources.push_back(entry.path().string());
  std::sort(sources.begin(), sources.end());
  return sources;
}

int main(int argc, char** argv) {
  std::string compiler = LAMINA_COMPILER, flags = "-O2";
  int runs = 3;
  std::vector<std::string> sources;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (is("--compiler")) compiler = argv[++i];
    else if (is("--flags")) flags = argv[++i];
    else if (is("--runs")) runs = bench::number("--runs", argv[++i], 1, 1000);
    else if (argv[i][0] != '-') sources.push_back(argv[i]);
    else return std::fprintf(stderr, "bench_compile [--compiler g++] [--runs 3] [--flags -O2] [source ...]\n"), 2;
  }
  std::vector<std::pair<std::string, Words>> programs;
  const bool all = sources.empty();
  for (const std::string& source : all ? sources_in(LAMINA_COMPILE_SOURCES) : sources) programs.push_back({std::filesystem::path(source).stem().string(), {source}});
  if (all) programs.push_back({"tomato", sources_in(LAMINA_TOMATO_SOURCES)});

  std::printf("%s %s, median of %d\n%-24s %9s %13s %9s\n", compiler.c_str(), flags.c_str(), runs, "program", "seconds", "processor s", "MiB");
  for (const auto& [name, of] : programs) {
    std::vector<Cost> costs;
    for (int r = 0; r < runs; ++r) costs.push_back(compile({compiler, "@" LAMINA_COMPILE_OPTIONS, flags, "-c", "-o", "/dev/null"}, of));
    const auto median = [&](double Cost::* what) {
      std::sort(costs.begin(), costs.end(), [&](const Cost& a, const Cost& b) { return a.*what < b.*what; });
      return costs[costs.size() / 2].*what;
    };
    double peak = 0;
    for (const Cost& c : costs) peak = std::max(peak, c.megabytes);
    std::printf("%-24s %9.2f %13.2f %9.0f\n", name.c_str(), median(&Cost::seconds), median(&Cost::processor), peak);
    std::fflush(stdout);
  }
}
