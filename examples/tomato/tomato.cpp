/// The trainer people run: tomato train, evaluate, predict, summary. `tomato --help` says the rest.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "network.hpp"
#include "predict.hpp"
#include "printable.hpp"
#include "settings.hpp"
#include "train.hpp"

namespace {

/// A standard stream that was closed becomes /dev/null: else the next file that is opened gets its number, and with it all that is printed.
void open_standard_streams() {
  int next = 0;
  while (next >= 0 && next <= STDERR_FILENO) next = ::open("/dev/null", O_RDWR);
  if (next > STDERR_FILENO) ::close(next);
}

int run(const tomato::CommandLine& line) {
  using namespace tomato;
  if (line.command == Command::none) return line.exit_code;
  if (line.command == Command::train) return train(line.train, line.words);
  if (line.command == Command::evaluate) return evaluate(line.evaluate);
  if (line.command == Command::predict) return predict(line.predict);
  return for_size(line.summary.size, [&]<class Net>(Net) { return std::fputs(lamina::summary<Net>(line.summary.batch).c_str(), stdout) < 0; });
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  const tomato::CommandLine line = tomato::read_command_line(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN);    // a file over the limit is then an error with a sentence
  std::signal(SIGPIPE, SIG_IGN);    // a training goes on when nobody reads its lines any more
  try {
    const int code = run(line);
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
    std::fputs("tomato: cannot write to standard output, its reader has gone or its disk is full: lines are lost there, but no files; let it go to another place\n", stderr);
    return code ? code : 1;
  } catch (const std::bad_alloc&) {
    std::fputs("tomato: there is no more memory: take a smaller batch, or fewer threads\n", stderr);
    return 1;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "tomato: %s\n", tomato::printable(e.what()).c_str());
    return 1;
  }
}
