/// Races between kernels that do the same work, bit for bit, and whoever keeps who won: what a device that times them and a file of what it found have in common.
#pragma once
#include <string>
#include <vector>

namespace lamina {

/// Who runs, in what, and where. Each is text without line ends and tabs.
struct Race {
  std::string device;                  // with the versions of all that a time depends on
  std::string work;                    // what is to be done, with its sizes
  std::vector<std::string> runners;
};

/// Keeps who won.
class Tuning {
 public:
  virtual ~Tuning() = default;
  /// The number of the runner who won; -1 if these did not run this race on this device.
  virtual int winner(const Race&) = 0;
  /// Never throws for want of a place to keep it in: a race is run again then, some other time.
  virtual void keep(const Race&, int winner, const std::vector<double>& seconds) = 0;     // of each runner
};

}  // namespace lamina
