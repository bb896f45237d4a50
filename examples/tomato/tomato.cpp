/// The trainer people run: tomato train, evaluate, predict, summary. `tomato --help` says the rest.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "network.hpp"
#include "predict.hpp"
#include "settings.hpp"
#include "train.hpp"

namespace {

/// A standard stream that was closed becomes /dev/null: else the next file that is opened gets its number, and with it all that is printed.
void open_standard_streams() {
  int next = 0;
  while (next >= 0 && next <= STDERR_FILENO) next = ::open("/dev/null", O_RDWR);
  if (next > STDERR_FILENO) ::close(next);
}

int run(tomato::CommandLine& line, const std::string& command) {
  using namespace tomato;
  if (*line.train_command) return train(line.train, command);
  if (*line.evaluate_command) return evaluate(line.evaluate);
  if (*line.predict_command) return predict(line.predict);
  return for_size(line.summary.size, [&]<class Net>(Net) { return std::fputs(lamina::summary<Net>(line.summary.batch).c_str(), stdout) < 0; });
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  tomato::CommandLine line;
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return line.app.exit(e) ? 2 : 0;
  }
  std::string command = "tomato";
  for (int i = 1; i < argc; ++i) command += " " + tomato::shell_word(argv[i]);
  std::signal(SIGXFSZ, SIG_IGN);    // a file over the limit is then an error with a sentence
  std::signal(SIGPIPE, SIG_IGN);    // a training goes on when nobody reads its lines any more
  try {
    const int code = run(line, command);
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
    std::fputs("tomato: cannot write to standard output, its reader has gone or its disk is full: lines are lost there, but no files; let it go to another place\n", stderr);
    return code ? code : 1;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "tomato: %s\n", e.what());
    return 1;
  }
}
