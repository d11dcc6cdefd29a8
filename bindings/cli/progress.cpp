// progress.cpp: drawing.
#include "progress.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "json.hpp"
#include "output.hpp"

namespace cli {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds bar_interval{200};
constexpr milliseconds line_interval{1000};
constexpr int bar_cells = 30;

double mib(double bytes) {
  return bytes / (1024.0 * 1024.0);
}

double share_of(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (total_bytes == 0) return 0.0;
  return std::min(1.0, static_cast<double>(done_bytes) / static_cast<double>(total_bytes));
}

std::string left_text(double share, double seconds) {
  if (share <= 0.0) return "";
  return fmt::format(", {:.0f} s left", seconds * (1.0 - share) / share);
}

void write_error(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < std::size(units)) {
    value /= 1024.0;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} bytes", bytes);
  return fmt::format("{:.2f} {}", value, units[unit]);
}

ProgressDisplay::ProgressDisplay(std::string verb, ProgressStyle style)
    : verb_(std::move(verb)),
      started_at_(std::chrono::steady_clock::now()),
      shown_at_(started_at_) {
  mode_ = Mode::silent;
  if (style == ProgressStyle::json_lines) mode_ = Mode::json_lines;
  if (style == ProgressStyle::automatic) mode_ = ::isatty(2) == 1 ? Mode::bar : Mode::lines;
}

int ProgressDisplay::tick() {
  const milliseconds interval = mode_ == Mode::bar ? bar_interval : line_interval;
  const auto now = std::chrono::steady_clock::now();
  const auto since = std::chrono::duration_cast<milliseconds>(now - shown_at_);
  if (since < interval) return static_cast<int>((interval - since).count()) + 1;
  shown_at_ = now;
  const double seconds = std::chrono::duration<double>(now - started_at_).count();
  if (mode_ == Mode::bar) show_bar(seconds);
  if (mode_ == Mode::lines) show_line(seconds);
  if (mode_ == Mode::json_lines) show_json(seconds);
  return static_cast<int>(interval.count());
}

void ProgressDisplay::show_bar(double seconds) {
  const double share = share_of(done_bytes_, total_bytes_);
  const int full = static_cast<int>(share * bar_cells);
  const std::string cells = std::string(static_cast<std::size_t>(full), '#') +
                            std::string(static_cast<std::size_t>(bar_cells - full), '.');
  write_error(fmt::format("\r\033[K{} [{}] {:3.0f}% of {}, {:.0f} MiB/s{}", verb_, cells,
                          share * 100.0, size_text(total_bytes_),
                          mib(static_cast<double>(done_bytes_)) / seconds,
                          left_text(share, seconds)));
  has_bar_ = true;
}

void ProgressDisplay::show_line(double seconds) {
  const double share = share_of(done_bytes_, total_bytes_);
  write_error(fmt::format("vdset: {}: {:.0f}% of {}, {:.0f} MiB/s{}\n", verb_, share * 100.0,
                          size_text(total_bytes_), mib(static_cast<double>(done_bytes_)) / seconds,
                          left_text(share, seconds)));
}

void ProgressDisplay::show_json(double seconds) {
  JsonObject object;
  object.add("progress", verb_).add("bytes", done_bytes_).add("total_bytes", total_bytes_);
  object.add("seconds", seconds);
  std::printf("%s\n", object.text().c_str());
  std::fflush(stdout);
}

void ProgressDisplay::note(std::string_view text) {
  if (mode_ == Mode::silent || mode_ == Mode::json_lines) return;
  end();
  write_error(fmt::format("vdset: note: {}\n", one_line(text)));
}

void ProgressDisplay::end() {
  if (has_bar_) write_error("\r\033[K");
  has_bar_ = false;
}

}  // namespace cli
