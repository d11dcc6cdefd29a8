// progress_messages.hpp: STATS: how far the engine is, as 3211 lines.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include "cli/control.hpp"
#include "console.hpp"

namespace sqlcmd {

class ProgressMessages final : public cli::EngineObserver {
 public:
  ProgressMessages(Console& console, std::uint32_t step_percent, std::uint32_t line)
      : console_(console), step_percent_(step_percent), line_(line) {}

  void plan(std::uint64_t bytes, bool) override { total_bytes_ = bytes; }
  void note(std::string_view) override {}
  void progress(std::uint64_t bytes) override {
    done_bytes_ = bytes;
    if (total_bytes_ > 0) say_up_to(static_cast<std::uint32_t>(bytes * 99 / total_bytes_));
  }
  void done(const cli::Counts& counts) override {
    done_bytes_ = counts.payload_bytes;
    say_up_to(100);
  }

  std::uint64_t done_bytes() const { return done_bytes_; }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_at_).count();
  }

 private:
  void say_up_to(std::uint32_t percent) {
    if (step_percent_ == 0) return;
    const std::uint32_t step = percent == 100 ? 100 : percent / step_percent_ * step_percent_;
    if (step <= said_percent_) return;
    said_percent_ = step;
    console_.say(
        {number::percent, severity_note, std::to_string(step) + " percent processed.", line_});
  }

  Console& console_;
  std::uint32_t step_percent_;
  std::uint32_t line_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::uint32_t said_percent_ = 0;
  std::chrono::steady_clock::time_point begun_at_ = std::chrono::steady_clock::now();
};

}  // namespace sqlcmd
