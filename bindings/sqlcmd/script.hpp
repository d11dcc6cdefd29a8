// script.hpp: input lines as batches: GO, the colon commands, and $(name).
#pragma once
#include <cstdint>
#include <functional>
#include <istream>
#include <string>

#include "options.hpp"

namespace sqlcmd {

/// What became of a script.
enum class ScriptEnd : std::uint8_t { at_end, by_exit, by_error, unreadable };

class ScriptRunner {
 public:
  /// Runs one batch; false: no more (-b, :on error exit).
  using RunBatch = std::function<bool(const std::string& batch)>;
  using Complain = std::function<void(const std::string& text)>;

  ScriptRunner(Options& options, RunBatch run_batch, Complain complain)
      : options_(options), run_batch_(std::move(run_batch)), complain_(std::move(complain)) {}

  ScriptEnd run(std::istream& input);
  /// As if it were a file of its own, GO or not at the end.
  ScriptEnd run_text(const std::string& text);

 private:
  enum class Line : std::uint8_t { of_batch, done, exit, unreadable };
  Line take_command(const std::string& line);
  bool take_go(const std::string& line, std::uint32_t& times) const;
  bool replace_variables(std::string& line);
  void follow(const std::string& line);
  bool run_pending(std::uint32_t times);

  Options& options_;
  RunBatch run_batch_;
  Complain complain_;
  std::string batch_;
  std::uint32_t comment_depth_ = 0;  // Where the line begins: inside how many comments,
  char quote_ = '\0';                // or inside which quotes.
};

}  // namespace sqlcmd
