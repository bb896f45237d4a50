/// The history of a training as CSV (RFC 4180 without quotes): a line of names, then one row of numbers per epoch.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "../core/number_text.hpp"
#include "../train/fit.hpp"
#include "file.hpp"

namespace lamina {

namespace detail {
/// The part of a text up to `at`; both are taken off it.
[[gnu::cold]] inline std::string_view take_part(std::string_view& text, char at) {
  const std::size_t end = std::min(text.find(at), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

using HistoryValue = double EpochRow::*;
struct HistoryColumn { std::string_view name; HistoryValue value; };
inline constexpr HistoryColumn history_columns[] = {   // after the first, "epoch"; what a table has to have comes first
    {"loss", &EpochRow::loss}, {"accuracy", &EpochRow::accuracy}, {"val_loss", &EpochRow::val_loss}, {"val_accuracy", &EpochRow::val_accuracy},
    {"lr", &EpochRow::rate}, {"seconds", &EpochRow::seconds}, {"wait", &EpochRow::wait}, {"forward", &EpochRow::forward},
    {"backward", &EpochRow::backward}, {"update", &EpochRow::update}, {"validation", &EpochRow::validation},
    {"images_per_second", &EpochRow::images_per_second}};
inline constexpr Index needed_history_columns = 5;
}  // namespace detail

/// epoch, loss, accuracy, val_loss, val_accuracy, lr, seconds, wait, forward, backward, update, validation, images_per_second. A row for each epoch from 1: one
/// that is lost, because the file was deleted in the midst of a training, is all nan.
[[gnu::cold]] inline std::string history_text(const std::vector<EpochRow>& history) {
  std::string s = "epoch";
  for (const auto& column : detail::history_columns) (s += ',') += column.name;
  for (Index lost = 1; !history.empty() && lost < history.front().epoch; ++lost) {
    (s += '\n') += std::to_string(lost);
    for (std::size_t k = 0; k < std::size(detail::history_columns); ++k) s += ",nan";
  }
  for (const EpochRow& e : history) {
    (s += '\n') += std::to_string(e.epoch);
    for (const auto& column : detail::history_columns) (s += ',') += detail::number_text(e.*column.value);
  }
  return s += '\n';
}

/// The epochs 1 ... `epochs` of such a text, to the bit; what a resumed training will run again is left out, and so are lost epochs. Columns it does not know are
/// passed over; loss, accuracy, val_loss, val_accuracy and lr have to be there, and others that are not stay 0. Throws Error with `path` and the line that is not
/// as it should be, and if rows are missing.
[[gnu::cold]] inline std::vector<EpochRow> parse_history(std::string_view text, Index epochs, const std::string& path) {
  std::vector<EpochRow> history;
  std::vector<Index> place;                            // in history_columns, of each column after the first; -1 for one it does not know
  if (text.empty() && epochs) throw Error(path, " is no history of a training: it is empty; delete it");
  Index rows = 0;
  for (Index number = 1; !text.empty(); ++number) {
    std::string_view line = detail::take_part(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1) {
      if (detail::take_part(line, ',') != "epoch") throw Error(path, " is no history of a training: its first column is not called epoch; delete it");
      while (!line.empty()) {
        const std::string_view name = detail::take_part(line, ',');
        place.push_back(std::ssize(detail::history_columns) - 1);
        while (place.back() >= 0 && detail::history_columns[place.back()].name != name) --place.back();
      }
      for (Index needed = 0; needed < detail::needed_history_columns; ++needed)
        if (std::count(place.begin(), place.end(), needed) != 1)
          throw Error(path, ", line 1: the column ", detail::history_columns[needed].name, " is missing, or is there twice; repair the line or delete the file");
      continue;
    }
    if (line.empty()) continue;
    EpochRow e{.epoch = ++rows};
    Index k = -1;
    for (; !line.empty(); ++k) {
      const std::string_view part = detail::take_part(line, ',');
      double v = 0;
      const auto read = std::from_chars(part.data(), part.data() + part.size(), v);
      if (read.ec != std::errc() || read.ptr != part.data() + part.size())
        throw Error(path, ", line ", number, ": \"", part, "\" is not a number; repair the line or delete the file");
      if (k < 0 && v != double(rows))
        throw Error(path, ", line ", number, ": the epoch is ", part, " where ", rows, " belongs, for each has one row, in order; repair the line or delete the file");
      if (k >= 0 && k < std::ssize(place) && place[std::size_t(k)] >= 0) e.*detail::history_columns[place[std::size_t(k)]].value = v;
    }
    if (k != std::ssize(place)) throw Error(path, ", line ", number, ": ", k + 1, " numbers for ", place.size() + 1, " columns; repair the line or delete the file");
    const bool lost = history.empty() && std::isnan(e.rate);                             // the rate of an epoch that was run is a number
    if (rows <= epochs && !lost) history.push_back(e);
  }
  if (rows < epochs)
    throw Error(path, " is damaged: it ends after ", rows, rows == 1 ? " row" : " rows", ", and the training has done ", epochs, epochs == 1 ? " epoch" : " epochs", "; repair or delete it");
  return history;
}

/// Writes all epochs so far, whole. Throws Error if it cannot; then the file before is untouched.
inline void write_history(const std::filesystem::path& path, const std::vector<EpochRow>& history) { write_file_whole(path, history_text(history)); }

/// The inverse, for the first `epochs` epochs. No file is no epochs. Throws Error if it cannot be read or is no such table.
[[gnu::cold]] inline std::vector<EpochRow> read_history(const std::filesystem::path& path, Index epochs) {
  std::error_code ignored;                             // what else is wrong with the path is said when it is read
  if (std::filesystem::status(path, ignored).type() == std::filesystem::file_type::not_found) return {};
  return parse_history(read_file_whole(path), epochs, path.string());
}

}  // namespace lamina
