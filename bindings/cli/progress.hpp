// progress.hpp: shows how far the work is: a bar on a terminal, one line a second otherwise, JSON
// lines for machines. Everything for people goes to stderr, so that stdout is the report alone.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

enum class ProgressStyle { automatic, json_lines, silent };

class ProgressDisplay {
 public:
  ProgressDisplay(std::string verb, ProgressStyle style);
  ~ProgressDisplay() { end(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void set_total(std::uint64_t bytes) { total_bytes_ = bytes; }
  void update(std::uint64_t bytes) { done_bytes_ = bytes; }
  /// Shows the state if the interval is over. Returns the milliseconds until the next time.
  int tick();
  /// A line that stays, above the bar.
  void note(std::string_view text);
  /// Takes the bar away.
  void end();

 private:
  enum class Mode { bar, lines, json_lines, silent };
  void show_bar(double seconds);
  void show_line(double seconds);
  void show_json(double seconds);

  std::string verb_;
  Mode mode_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  bool has_bar_ = false;
  std::chrono::steady_clock::time_point started_at_;
  std::chrono::steady_clock::time_point shown_at_;
};

/// "1.83 GiB", "12 bytes".
std::string size_text(std::uint64_t bytes);

}  // namespace cli
