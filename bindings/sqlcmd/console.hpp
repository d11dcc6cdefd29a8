// console.hpp: everything that is printed: messages with their heads, tables, the log.
#pragma once
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "message.hpp"
#include "options.hpp"

namespace sqlcmd {

struct Column {
  std::string name;
  std::size_t width = 0;   // Declared width of its type.
  bool is_number = false;  // Aligned to the right.
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

/// The text without control characters: what a client or a medium says shall not look like a line
/// of ours.
std::string one_line(std::string text);

/// Safe from any thread: percentages come from the engine's.
class Console {
 public:
  /// Opens -o. False when that fails.
  bool open(const Options& options);
  ~Console();
  /// False when -o has not taken everything. Nothing is printed after it.
  bool close();
  Console() = default;
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void say(const Message& message);
  void print(const Table& table, bool counts_rows);
  void echo(const std::string& line);
  /// An entry of the server's log: on standard error, when asked for ($VDSET_VDI_DIAGNOSTICS, -r).
  void log(const Message& message);

  /// The worst severity since the last call.
  std::int32_t take_worst_severity();

 private:
  void print_row(const Table& table, const std::vector<std::size_t>& widths,
                 const std::vector<std::string>& cells);
  std::string fold(const std::string& line) const;

  const Options* options_ = nullptr;
  std::FILE* out_ = nullptr;
  bool logs_ = false;
  std::mutex mutex_;
  std::int32_t worst_severity_ = 0;
};

}  // namespace sqlcmd
