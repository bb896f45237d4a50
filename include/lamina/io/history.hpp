/// Numbers in columns as CSV, and the history of a training in it: one row per epoch.
#pragma once
#include <charconv>
#include <vector>

#include "../train/fit.hpp"
#include "file.hpp"

namespace lamina {

/// Columns of numbers under their names.
struct CsvTable {
  std::vector<std::string> columns = {};
  std::vector<std::vector<double>> rows = {}; // each with columns.size() numbers
  friend bool operator==(const CsvTable&, const CsvTable&) = default;
};

namespace detail {
/// The shortest text that reads back to the same double; "nan", "inf" and "-inf" are numbers too. The same in every locale.
inline std::string number_text(double v) {
  char s[32];
  return {s, std::to_chars(s, s + sizeof s, v).ptr};
}

[[gnu::cold]] inline std::vector<std::string_view> csv_parts(std::string_view line, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = line.find(at);
    parts.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return parts;
    line.remove_prefix(end + 1);
  }
}
}  // namespace detail

/// RFC 4180 without quotes: a line of names, then lines of numbers. Throws Error if a name has a comma, a quote or a line break, or a row another length.
[[gnu::cold]] inline std::string csv_text(const CsvTable& table) {
  std::string s;
  for (std::size_t k = 0; k < table.columns.size(); ++k) {
    if (table.columns[k].find_first_of(",\"\r\n") != std::string::npos)
      throw Error("the column \"", table.columns[k], "\" has a comma, a quote or a line break in its name: rename it");
    s += (k ? "," : "") + table.columns[k];
  }
  s += '\n';
  for (const auto& row : table.rows) {
    if (row.size() != table.columns.size()) throw Error("a row has ", row.size(), " numbers for ", table.columns.size(), " columns");
    for (std::size_t k = 0; k < row.size(); ++k) s += (k ? "," : "") + detail::number_text(row[k]);
    s += '\n';
  }
  return s;
}

/// The inverse. Throws Error with `path` and the line that is not as it should be.
[[gnu::cold]] inline CsvTable parse_csv(std::string_view text, const std::string& path) {
  CsvTable table;
  Index number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto parts = detail::csv_parts(line, ',');
    if (++number == 1) {
      table.columns.assign(parts.begin(), parts.end());
      continue;
    }
    if (line.empty()) continue;
    if (parts.size() != table.columns.size())
      throw Error(path, ", line ", number, ": ", parts.size(), " numbers for ", table.columns.size(), " columns; repair the line or delete the file");
    auto& row = table.rows.emplace_back();
    for (const std::string_view part : parts) {
      double v = 0;
      const auto read = std::from_chars(part.data(), part.data() + part.size(), v);
      if (read.ec != std::errc() || read.ptr != part.data() + part.size())
        throw Error(path, ", line ", number, ": \"", part, "\" is not a number; repair the line or delete the file");
      row.push_back(v);
    }
  }
  return table;
}

namespace detail {
struct HistoryColumn { const char* name; double EpochRow::* value; };
inline constexpr HistoryColumn history_columns[] = {
    {"loss", &EpochRow::loss}, {"accuracy", &EpochRow::accuracy}, {"val_loss", &EpochRow::val_loss}, {"val_accuracy", &EpochRow::val_accuracy},
    {"lr", &EpochRow::rate}, {"seconds", &EpochRow::seconds}, {"wait", &EpochRow::wait}, {"forward", &EpochRow::forward},
    {"backward", &EpochRow::backward}, {"update", &EpochRow::update}, {"validation", &EpochRow::validation},
    {"images_per_second", &EpochRow::images_per_second}};
}  // namespace detail

/// The history as a table: epoch, loss, accuracy, val_loss, val_accuracy, lr, seconds, wait, forward, backward, update, validation, images_per_second.
[[gnu::cold]] inline CsvTable history_table(const std::vector<EpochRow>& history) {
  CsvTable table{{"epoch"}, {}};
  for (const auto& column : detail::history_columns) table.columns.push_back(column.name);
  for (const EpochRow& e : history) {
    auto& row = table.rows.emplace_back(1, double(e.epoch));
    for (const auto& column : detail::history_columns) row.push_back(e.*column.value);
  }
  return table;
}

/// Writes all epochs so far, whole. Throws Error if it cannot; then the file before is untouched.
inline void write_history(const std::filesystem::path& path, const std::vector<EpochRow>& history) { write_file_whole(path, csv_text(history_table(history))); }

/// The epochs 1 ... `epochs` of a history, to the bit; what a resumed training will run again is left out. Columns it does not know are passed over, and those that
/// are not there stay 0. No file is no epochs. Throws Error if it is no such table.
[[gnu::cold]] inline std::vector<EpochRow> read_history(const std::filesystem::path& path, Index epochs) {
  std::vector<EpochRow> history;
  if (!std::filesystem::exists(path)) return history;
  const CsvTable table = parse_csv(read_file_whole(path), path.string());
  if (table.columns.empty() || table.columns[0] != "epoch")
    throw Error(path.string(), " is no history of a training: its first column is not called epoch; delete it");
  for (const auto& row : table.rows) {
    if (!(row[0] >= 1 && row[0] <= double(epochs))) continue;
    EpochRow e{.epoch = Index(row[0])};
    for (std::size_t k = 1; k < row.size(); ++k)
      for (const auto& column : detail::history_columns) if (table.columns[k] == column.name) e.*column.value = row[k];
    history.push_back(e);
  }
  return history;
}

}  // namespace lamina
