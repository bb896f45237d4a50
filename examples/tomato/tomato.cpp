/// The trainer people run: tomato train, evaluate, predict, summary. `tomato --help` says the rest.
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "network.hpp"
#include "predict.hpp"
#include "settings.hpp"
#include "train.hpp"

namespace {

int run(tomato::CommandLine& line, const std::string& command) {
  using namespace tomato;
  if (*line.train_command) return train(line.train, command);
  if (*line.evaluate_command) return evaluate(line.evaluate);
  if (*line.predict_command) return predict(line.predict);
  return for_size(line.summary.size, [&]<class Net>(Net) { return std::fputs(lamina::summary<Net>(line.summary.batch).c_str(), stdout) < 0; });
}

}  // namespace

int main(int argc, char** argv) {
  tomato::CommandLine line;
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return line.app.exit(e) ? 2 : 0;
  }
  std::string command = "tomato";
  for (int i = 1; i < argc; ++i) command += " " + tomato::shell_word(argv[i]);
  std::signal(SIGXFSZ, SIG_IGN);    // a file over the limit is then an error with a sentence
  try {
    const int code = run(line, command);
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) throw lamina::Error("cannot write to standard output: ", lamina::detail::error_text(errno));
    return code;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "tomato: %s\n", e.what());
    return 1;
  }
}
