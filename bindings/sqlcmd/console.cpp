// console.cpp: columns as sqlcmd prints them.
#include "console.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sqlcmd {

bool Console::open(const Options& options) {
  options_ = &options;
  out_ = options.output_path.empty() ? stdout : std::fopen(options.output_path.c_str(), "we");
  const char* wish = std::getenv("VDSET_VDI_DIAGNOSTICS");
  const bool is_wished = wish != nullptr && *wish != '\0' && std::string_view(wish) != "0";
  logs_ = is_wished || options.errors_to_stderr >= 0;
  return out_ != nullptr;
}

Console::~Console() {
  close();
}

/// Standard output may be a pipe that its reader has left: that is no failure.
bool Console::close() {
  std::FILE* file = std::exchange(out_, nullptr);
  if (file == nullptr || file == stdout) return true;
  const bool was_written = std::ferror(file) == 0;
  return std::fclose(file) == 0 && was_written;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = ' ';
  }
  return text;
}

void Console::say(const Message& message) {
  const std::lock_guard lock(mutex_);
  worst_severity_ = std::max(worst_severity_, message.severity);
  const bool prints_all = options_->severity_to_print == print_all_headers;
  if (!prints_all && message.severity < options_->severity_to_print) return;
  const bool to_stderr =
      options_->errors_to_stderr == 1 || (options_->errors_to_stderr == 0 && message.is_error());
  std::FILE* out = to_stderr ? stderr : out_;
  if (message.is_error() || prints_all) {
    const std::string head = fmt::format(
        "Msg {}, Level {}, State 1, Server {}, Line {}\n", message.number, message.severity,
        options_->server.empty() ? "vdset" : options_->server, message.line);
    std::fputs(head.c_str(), out);
  }
  const std::string text = message.is_print ? message.text : one_line(message.text);
  std::fputs((text + "\n").c_str(), out);
  std::fflush(out);
}

void Console::log(const Message& message) {
  if (!logs_) return;
  const std::lock_guard lock(mutex_);
  if (message.is_error()) {
    const std::string head =
        fmt::format("Error: {}, Severity: {}, State: 1.\n", message.number, message.severity);
    std::fputs(head.c_str(), stderr);
  }
  std::fputs((one_line(message.text) + "\n").c_str(), stderr);
}

void Console::echo(const std::string& line) {
  const std::lock_guard lock(mutex_);
  std::fputs((line + "\n").c_str(), out_);
}

/// Breaks a line that is longer than -w, as sqlcmd does: wherever the width ends.
std::string Console::fold(const std::string& line) const {
  const auto width = static_cast<std::size_t>(options_->width);
  if (options_->trims_blanks || line.size() <= width) return line;
  std::string folded;
  for (std::size_t at = 0; at < line.size(); at += width) {
    if (at > 0) folded += '\n';
    folded += line.substr(at, width);
  }
  return folded;
}

void Console::print_row(const Table& table, const std::vector<std::size_t>& widths,
                        const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += options_->separator;
    const std::string cell = cells[i].substr(0, std::max<std::size_t>(widths[i], 1));
    const std::string blanks(widths[i] - std::min(widths[i], cell.size()), ' ');
    if (options_->trims_blanks) {
      line += cell;
    } else {
      line += table.columns[i].is_number ? blanks + cell : cell + blanks;
    }
  }
  std::fputs((fold(line) + "\n").c_str(), out_);
}

void Console::print(const Table& table, bool counts_rows) {
  const std::lock_guard lock(mutex_);
  std::vector<std::size_t> widths;
  std::vector<std::string> names;
  std::vector<std::string> rules;
  const std::int32_t limit =
      options_->column_max > 0 ? options_->column_max : options_->wide_column_max;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    std::size_t width = std::max(table.columns[i].width, table.columns[i].name.size());
    if (limit > 0) width = std::min(width, static_cast<std::size_t>(limit));
    // With -W a column is as wide as what it holds.
    std::size_t widest = table.columns[i].name.size();
    for (const auto& row : table.rows)
      widest = std::max(widest, row[i].size());
    if (options_->trims_blanks) width = widest;
    widths.push_back(width);
    names.push_back(table.columns[i].name);
    rules.push_back(std::string(options_->trims_blanks ? names.back().size() : width, '-'));
  }
  std::int32_t rows_until_header = 0;
  bool has_header = options_->rows_per_header >= 0;
  for (std::size_t i = 0; i <= table.rows.size(); ++i) {
    if (has_header && rows_until_header == 0) {
      print_row(table, widths, names);
      print_row(table, widths, rules);
      rows_until_header = options_->rows_per_header;
      has_header = rows_until_header > 0;
    }
    if (i == table.rows.size()) break;
    print_row(table, widths, table.rows[i]);
    rows_until_header -= 1;
  }
  if (counts_rows) {
    std::fputs(fmt::format("\n({} rows affected)\n", table.rows.size()).c_str(), out_);
  }
  std::fflush(out_);
}

std::int32_t Console::take_worst_severity() {
  const std::lock_guard lock(mutex_);
  const std::int32_t worst = worst_severity_;
  worst_severity_ = 0;
  return worst;
}

}  // namespace sqlcmd
