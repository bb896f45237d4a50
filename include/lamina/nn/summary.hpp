/// The table of a network that people know from Keras, with bytes and multiply-adds beside it.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <span>
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
/// A layer as it would be written: the compiler also prints the template arguments nobody wrote. Conv<32, 3, 1, 1, true, 1> is Conv<32, 3>.
[[gnu::cold]] inline std::string written(const std::string& name) {
  const std::size_t open = name.find('<');
  if (open == std::string::npos || !name.ends_with('>')) return name;
  const std::string_view whole = name, layer = whole.substr(0, open);
  std::string_view given[16];
  std::size_t count = 0;
  for (std::size_t at = open + 1, end; at < whole.size() && count < std::size(given); at = end + 2) {
    end = std::min(whole.find(", ", at), whole.size() - 1);
    given[count++] = whole.substr(at, end - at);
  }
  std::string half_kernel;               // the padding that a convolution has if none is given
  const auto half = [&](std::string_view kernel) { return std::string_view(half_kernel = std::to_string(std::atoi(std::string(kernel).c_str()) / 2)); };
  if (layer == "Conv" && given[3] == "-1") given[3] = "same";
  const auto drop = [&](std::initializer_list<std::string_view> usual) {       // what each argument is if it is left out; "" for what is never left out
    while (count > 1 && count <= usual.size() && given[count - 1] == usual.begin()[count - 1]) --count;
  };
  if (layer == "Conv") drop({"", "", "1", half(given[1]), "true", "1"});
  if (layer == "DepthwiseConv") drop({"", "1", half(given[0]), "true", "1"});
  if (layer == "Dense") drop({"", "true"});
  if (layer == "MaxPool") drop({"", given[0], "0"});
  if (layer == "AvgPool") drop({"", given[0], "0", given[2] == "-1" ? "false" : "true"});
  std::string s(layer);
  for (std::size_t i = 0; i < count; ++i) (s += i ? ", " : "<") += given[i];
  return s + ">";
}

/// 1234567 -> 1,234,567
[[gnu::cold]] inline std::string grouped(Index v) {
  const std::string digits = std::to_string(v);
  std::string s;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % 3 == 0) s += ',';
    s += digits[i];
  }
  return s;
}
}  // namespace detail

/// The layers of a network, blocks opened, in the order in which the data flows.
[[gnu::cold]] inline std::vector<SummaryRow> summary_rows(std::span<const Row<Op>> layers) {
  std::vector<SummaryRow> rows;
  for (const auto& r : layers) {
    if (r.role == Role::split) continue;
    rows.push_back({detail::written(r.name->s), text(r.out).s, r.place.parameters ? r.parameters(r.in).count() : 0, r.role == Role::view ? 0 : size(r.out) * Index(sizeof(float)),
                    r.need.flops / 2});
  }
  return rows;
}

template <class Net> std::vector<SummaryRow> summary_rows() {
  static constexpr auto table = Net::table;
  return summary_rows({table.rows, std::size_t(table.count)});
}

namespace detail {
[[gnu::cold]] inline std::string summary_text(Shape input, const std::vector<SummaryRow>& rows, Index batch, Index workspace) {
  std::string s;
  const auto right = [](const std::string& v, std::size_t width) { return v.size() < width ? std::string(width - v.size(), ' ') + v : " " + v; };
  const auto put = [&](std::string layer, const std::string& output, const std::string& p, const std::string& b, const std::string& m) {
    layer.resize(std::max<std::size_t>(layer.size(), 34), ' ');
    s += layer + right(output, 15) + right(p, 13) + right(b, 13) + right(m, 15) + "\n";
  };
  const std::string rule = std::string(90, '-') + "\n";
  Index parameters = 0, multiply_adds = 0;
  put("layer", "output", "parameters", "bytes", "multiply-adds");
  s += rule;
  put("Input", text(input).s, "0", grouped(size(input) * Index(sizeof(float))), "0");
  for (const SummaryRow& r : rows) {
    put(r.layer, r.output, grouped(r.parameters), grouped(r.bytes), grouped(r.multiply_adds));
    parameters += r.parameters, multiply_adds += r.multiply_adds;
  }
  s += rule;
  s += "parameters " + grouped(parameters) + " (" + grouped(parameters * Index(sizeof(float))) + " bytes), multiply-adds per sample " + grouped(multiply_adds) + "\n";
  return s + "workspace of a training step of " + std::to_string(batch) + " samples, nothing fused: " + grouped(workspace) + " bytes\n";
}
}  // namespace detail

/// summary<LeafNet>() is the table as text; the last lines are the sums and the workspace of a training step of `batch` samples.
template <class Net> std::string summary(Index batch = 32) {
  static constexpr Shape input = Net::input;
  static constexpr Index one = Net::workspace(1);
  return detail::summary_text(input, summary_rows<Net>(), batch, one * batch);
}

}  // namespace lamina
