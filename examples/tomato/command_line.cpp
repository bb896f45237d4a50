#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include <CLI/CLI.hpp>

#include "printable.hpp"
#include "settings.hpp"

namespace tomato {

namespace {

/// A number from `least` to `most`. CLI::Range lets nan through.
CLI::Validator number_within(double least, double most) {
  char range[64];
  std::snprintf(range, sizeof range, "from %g to %g", least, most);
  return {[=, words = std::string(range)](const std::string& s) {
            double v = 0;
            return CLI::detail::lexical_cast(s, v) && v >= least && v <= most ? "" : s + " is not a number " + words;
          }, range};
}
/// A whole number from `least` to `most`, without zeros in front. CLI11 takes -1 for 2^64 - 1, anything longer too, and 010 for eight.
template <class T> CLI::Validator whole_number(T least, T most) {
  const std::string range = "from " + std::to_string(least) + " to " + std::to_string(most);
  return {[=](std::string& s) {
            T v = 0;
            const auto [rest, failed] = std::from_chars(s.data(), s.data() + s.size(), v);
            if (failed != std::errc() || rest != s.data() + s.size() || v < least || v > most) return s + " is not a whole number " + range;
            s = std::to_string(v);
            return std::string();
          }, range};
}
/// A path that says something: a shell makes "" of a variable that is not set.
CLI::Validator some_path() {
  return {[](const std::string& s) { return s.empty() ? std::string("the path is empty: give one (was a variable of the shell not set?)") : std::string(); }, ""};
}

/// Where a command computes, and in what.
template <class Settings> void add_device(CLI::App* command, Settings& s) {
  command->add_option("--device", s.device, "where to compute: cpu, or cuda, the GPU")->check(CLI::IsMember({"cpu", "cuda"}))->capture_default_str();
  command->add_option("--precision", s.precision, "what the GPU stores numbers between layers as, and multiplies: fp32; tf32, floats of eleven bits, on tensor cores; or bf16, eight bits, which is "
                                                         "several times as fast as fp32. Parameters, their gradients and sums are fp32 in all three")->check(CLI::IsMember({"fp32", "tf32", "bf16"}))->capture_default_str();
  command->add_option("--tune", s.tune, "with --device cuda: time kernels that give the same bits when they are first needed, use the quickest, and keep who it was in this file for the next run")
      ->check(some_path());
}

/// What is wrong with the arguments, in a sentence.
std::string mistake(const CLI::App& app, const CLI::ParseError& e) {
  const std::vector<std::string> left = app.remaining(true);
  if (!left.empty() && left[0].starts_with('-')) return "there is no option " + left[0];
  if (app.get_subcommands().empty()) return (left.empty() ? "a command is missing" : left[0] + " is no command") + ": give train, evaluate, predict or summary";
  if (!left.empty()) return "there is no place for " + left[0] + ": leave it out, or give an option before it";
  const std::string words = e.what(), option = words.substr(0, words.find_first_of(": "));
  if (words.ends_with(" missing")) return option + " has no value: give one";
  if (words.find("but received") != words.npos) return option + " is given more than once: give it once";
  if (words.ends_with("flag override")) return "--" + option.substr(option.find_first_not_of('-')) + " takes no value: leave it out";
  return words;
}

/// A word as a shell reads it back: in quotes if it needs them.
std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) { return c > 127 || std::isalnum(c) || std::strchr("_-+=./:,@%", c); });
  if (plain) return word;
  std::string s = "'";
  for (char c : word) s += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return s + "'";
}

/// The arguments as CLI11 knows them; what they say goes into `line`.
struct Parser {
  CLI::App app{"tomato: trains a small convolutional network to tell leaf diseases apart, and uses it"};
  CLI::App *train_command, *evaluate_command, *predict_command, *summary_command;

  explicit Parser(CommandLine& line) {
    auto& evaluate = line.evaluate;
    auto& predict = line.predict;
    auto& summary = line.summary;
    app.require_subcommand(1);
    app.set_version_flag("--version", "tomato " + version());
    app.set_help_all_flag("--help-all", "the help of every command");
    app.footer("Examples:\n"
               "  tomato train --out run                    trains on generated leaves; open run/report.html\n"
               "  tomato train leaves --out run --epochs 30 trains on the class folders in leaves/, or on leaves/train and leaves/val\n"
               "  tomato evaluate run leaves/val            tells how well it does on other pictures\n"
               "  tomato predict run photo.jpg              names the disease\n"
               "Exit codes: 0 done, 1 something is wrong and one sentence says what, 2 bad arguments, 129, 130 and 143 interrupted (the same command goes on).");
    train_command = app.add_subcommand("train", "train a network and write a report");
    auto& t = line.train;
    train_command->add_option("DATA", t.data, "folder of class folders of JPEG or PNG pictures, or one that holds train/ and val/ with class folders; without it, generated leaves")->check(some_path());
    train_command->add_option("--out", t.out, "folder for the report, the history and the checkpoints; if it holds a run of the same command, that run goes on")->required()->check(some_path());
    train_command->add_option("--size", t.size, "side of the pictures in pixels; others are resized")->check(CLI::IsMember({64, 128, 256}))->capture_default_str();
    train_command->add_option("--epochs", t.epochs, "times to go through the training pictures")->transform(whole_number(1, 1000000))->capture_default_str();
    train_command->add_option("--batch", t.batch, "pictures of one step")->transform(whole_number(1, 65536))->capture_default_str();
    train_command->add_option("--seed", t.seed, "decides every random number: the same seed gives the same network, to the bit")->transform(whole_number<std::uint64_t>(0, UINT64_MAX))->capture_default_str();
    train_command->add_option("--threads", t.threads, "threads to use; 0 is one for each core. The result is the same for any number")->transform(whole_number(0, 1024))->capture_default_str();
    train_command->add_option("--replicas", t.replicas, "replicas of the network that divide each batch, in threads of this program; each has --threads of its own, or its part of the cores. "
                                                        "Or start many programs: mpirun -np 4 tomato train ...")->transform(whole_number(1, 1024))->capture_default_str();
    train_command->add_option("--parallel", t.parallel, "how replicas divide a batch: exact, with the bits of one by itself (1, 2, 4 or 8 of them); fast, any number of them; "
                                                        "dataparallel and mirrored, as PyTorch's nn.DataParallel and Keras's MirroredStrategy do")
        ->check(CLI::IsMember({"exact", "fast", "dataparallel", "mirrored"}))->capture_default_str();
    train_command->add_option("--deadline", t.deadline, "seconds after which a replica that does not come, or answer, ends all others")->check(number_within(0.1, 86400))->capture_default_str();
    train_command->add_option("--recipe", t.recipe, "defaults to train with: lamina (the best known here), pytorch or keras (the study's two systems)")->check(CLI::IsMember({"lamina", "pytorch", "keras"}))->capture_default_str();
    train_command->add_option("--lr", t.rate, "learning rate to begin with, instead of the recipe's")->check(number_within(1e-9, 1000));
    train_command->add_option("--validation", t.validation, "share of each class that is kept for validation where DATA has no val/")->check(number_within(0.01, 0.9))->default_str("0.1");
    train_command->add_option("--on-bad-image", t.on_bad_image, "what to do if pictures cannot be used, after all of them are named: stop, or skip them, as if they were not there")
        ->check(CLI::IsMember({"stop", "skip"}))->capture_default_str();
    add_device(train_command, t);
    train_command->add_option("--stop-after", t.stop_after, "stop and save after this many steps, as a signal would; the same command goes on")->transform(whole_number(1, 1000000000));

    evaluate_command = app.add_subcommand("evaluate", "loss, accuracy and per-class figures of a trained network on a folder of class folders");
    evaluate_command->add_option("MODEL", evaluate.model, "folder of a run (its best checkpoint) or a .safetensors file")->required()->check(some_path());
    evaluate_command->add_option("DATA", evaluate.data, "folder of class folders")->required()->check(some_path());
    evaluate_command->add_option("--threads", evaluate.threads, "threads to use; 0 is one for each core")->transform(whole_number(0, 1024))->capture_default_str();
    add_device(evaluate_command, evaluate);
    evaluate_command->add_flag("--json", evaluate.json, "print JSON")->disable_flag_override();

    predict_command = app.add_subcommand("predict", "name the class of pictures");
    predict_command->add_option("MODEL", predict.model, "folder of a run (its best checkpoint) or a .safetensors file")->required()->check(some_path());
    predict_command->add_option("PICTURE", predict.pictures, "JPEG or PNG pictures, or folders of them")->required()->check(some_path());
    predict_command->add_option("--format", predict.format, "how to print")->check(CLI::IsMember({"text", "csv", "json"}))->capture_default_str();
    predict_command->add_option("--threads", predict.threads, "threads to use; 0 is one for each core")->transform(whole_number(0, 1024))->capture_default_str();
    add_device(predict_command, predict);

    summary_command = app.add_subcommand("summary", "print the network's layers, shapes and sizes");
    summary_command->add_option("--size", summary.size, "side of the pictures in pixels")->check(CLI::IsMember({64, 128, 256}))->capture_default_str();
    summary_command->add_option("--batch", summary.batch, "samples of the step whose memory is told")->transform(whole_number(1, 65536))->capture_default_str();
  }
};

}  // namespace

CommandLine read_command_line(int argc, char** argv) {
  CommandLine line;
  Parser parser(line);
  try {
    parser.app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    parser.app.exit(e);                // prints the help
    return line;
  } catch (const CLI::ParseError& e) {
    const std::vector<CLI::App*> commands = parser.app.get_subcommands();
    const std::string command = commands.empty() ? "" : commands[0]->get_name() + " ";
    std::fprintf(stderr, "tomato: %s\ntomato %s--help says more.\n", printable(mistake(parser.app, e)).c_str(), command.c_str());
    line.exit_code = 2;
    return line;
  }
  line.command = *parser.train_command ? Command::train : *parser.evaluate_command ? Command::evaluate : *parser.predict_command ? Command::predict : Command::summary;
  line.words = "tomato";
  for (int i = 1; i < argc; ++i) line.words += " " + shell_word(argv[i]);
  return line;
}

}  // namespace tomato
