/// The table of a network that people know from Keras, with bytes and multiply-adds beside it.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "network.hpp"

namespace lamina {

/// One layer of a network.
struct SummaryRow {
  std::string layer, output;       // "Conv<32, 3>", "64x64x32"
  Index parameters = 0;            // learned numbers
  Index bytes = 0;                 // of its output in float, per sample
  Index multiply_adds = 0;         // forward, per sample: half its floating-point operations
};

namespace detail {
/// Default template arguments are what the compiler prints and nobody wrote: Conv<32, 3, 1, 1, true, 1> is Conv<32, 3>.
inline std::string spoken(std::string name) {
  const auto ends = [&](std::string_view end) { return name.size() > end.size() && name.ends_with(end); };
  const auto cut = [&](std::string_view end) { if (ends(end)) name.replace(name.size() - end.size(), end.size(), ">"); };
  if (name.starts_with("Conv<")) cut(", 1>"), cut(", true>");
  if (name.starts_with("DepthwiseConv<")) cut(", 1>"), cut(", true>");
  if (name.starts_with("Dense<")) cut(", true>");
  return name;
}
}  // namespace detail

/// The layers of a network, blocks opened, in the order in which the data flows.
template <class Net> std::vector<SummaryRow> summary_rows() {
  static constexpr auto table = Net::table;
  std::vector<SummaryRow> rows;
  for (int i = 0; i < table.count; ++i) {
    const auto& r = table.rows[i];
    if (r.role == Role::split) continue;
    rows.push_back({detail::spoken(r.name().s), text(r.out).s, r.place.parameters ? r.parameters(r.in).count() : 0, r.role == Role::view ? 0 : size(r.out) * Index(sizeof(float)),
                    r.need.flops / 2});
  }
  return rows;
}

/// summary<LeafNet>() is the table as text; the last lines are the sums and the workspace of a training step of `batch` samples.
template <class Net> std::string summary(Index batch = 32) {
  static constexpr Index parameters = Net::parameters, flops = Net::flops, one = Net::workspace(1);
  static constexpr Shape input = Net::input;
  std::string s;
  const auto right = [](const std::string& v, std::size_t width) { return v.size() < width ? std::string(width - v.size(), ' ') + v : " " + v; };
  const auto put = [&](std::string layer, const std::string& output, const std::string& p, const std::string& b, const std::string& m) {
    layer.resize(std::max<std::size_t>(layer.size(), 34), ' ');
    s += layer + right(output, 15) + right(p, 13) + right(b, 13) + right(m, 15) + "\n";
  };
  const auto grouped = [](Index v) {
    std::string digits = std::to_string(v);
    for (int at = int(digits.size()) - 3; at > 0; at -= 3) digits.insert(std::size_t(at), ",");
    return digits;
  };
  put("layer", "output", "parameters", "bytes", "multiply-adds");
  s += std::string(90, '-') + "\n";
  put("Input", text(input).s, "0", grouped(size(input) * Index(sizeof(float))), "0");
  for (const SummaryRow& r : summary_rows<Net>()) put(r.layer, r.output, grouped(r.parameters), grouped(r.bytes), grouped(r.multiply_adds));
  s += std::string(90, '-') + "\n";
  s += "parameters " + grouped(parameters) + " (" + grouped(parameters * Index(sizeof(float))) + " bytes), multiply-adds per sample " + grouped(flops / 2) + "\n";
  s += "workspace of a training step of " + std::to_string(batch) + " samples, nothing fused: " + grouped(one * batch) + " bytes\n";
  return s;
}

}  // namespace lamina
