// script.cpp: a line that is GO ends the batch, unless it stands in quotes or in a comment.
#include "script.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <sstream>

#include "tsql.hpp"

namespace sqlcmd {

namespace {

constexpr std::uint32_t repetitions_max = 1000000;

std::string trim(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r\n") - begin + 1);
}

/// The next word and the rest.
std::string take_word(std::string& rest) {
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string word = rest.substr(0, end);
  rest = trim(rest.substr(end));
  return word;
}

}  // namespace

ScriptEnd ScriptRunner::run_text(const std::string& text) {
  std::istringstream input(text);
  return run(input);
}

ScriptEnd ScriptRunner::run(std::istream& input) {
  batch_.clear();
  comment_depth_ = 0;
  quote_ = '\0';
  std::string line;
  bool is_first = true;
  while (std::getline(input, line)) {
    if (is_first && line.starts_with("\xEF\xBB\xBF"))
      line.erase(0, 3);  // An editor's mark of UTF-8.
    is_first = false;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (options_.echoes_input) complain_(line);
    std::uint32_t times = 0;
    if (take_go(line, times)) {
      if (!run_pending(times)) return ScriptEnd::by_error;
      continue;
    }
    switch (take_command(line)) {
      case Line::done: continue;
      case Line::exit: return ScriptEnd::by_exit;
      case Line::unreadable: return ScriptEnd::unreadable;
      case Line::of_batch: break;
    }
    if (options_.substitutes_variables && !replace_variables(line)) return ScriptEnd::unreadable;
    follow(line);
    batch_ += line;
    batch_ += '\n';
    if (batch_.size() > batch_bytes_max) {
      complain_(fmt::format("The batch is longer than {} bytes.", batch_bytes_max));
      return ScriptEnd::unreadable;
    }
  }
  if (input.bad()) {
    complain_("The input cannot be read.");
    return ScriptEnd::unreadable;
  }
  return run_pending(1) ? ScriptEnd::at_end : ScriptEnd::by_error;
}

bool ScriptRunner::run_pending(std::uint32_t times) {
  const std::string batch = std::move(batch_);
  batch_.clear();
  if (trim(batch).empty()) return true;
  for (std::uint32_t i = 0; i < times; ++i) {
    if (!run_batch_(batch)) return false;
  }
  return true;
}

bool ScriptRunner::take_go(const std::string& line, std::uint32_t& times) const {
  if (comment_depth_ > 0 || quote_ != '\0') return false;
  std::string rest = trim(line);
  const std::string word = take_word(rest);
  if (upper_case(word) != upper_case(options_.batch_end)) return false;
  times = 1;
  if (rest.empty() || rest.starts_with("--")) return true;
  const char* end = rest.data() + rest.size();
  const auto [stopped, error] = std::from_chars(rest.data(), end, times);
  return error == std::errc() && stopped == end && times <= repetitions_max;
}

ScriptRunner::Line ScriptRunner::take_command(const std::string& line) {
  if (comment_depth_ > 0 || quote_ != '\0') return Line::of_batch;
  std::string rest = trim(line);
  const std::string upper = upper_case(rest);
  if (batch_.empty() && (upper == "EXIT" || upper == "QUIT" || upper == "EXIT()"))
    return Line::exit;
  if (rest.empty() || rest[0] != ':') return Line::of_batch;
  const std::string word = upper_case(take_word(rest));
  if (word == ":EXIT" || word == ":QUIT") return Line::exit;
  if (word == ":SETVAR") {
    const std::string name = upper_case(take_word(rest));
    if (rest.size() >= 2 && rest.front() == '"' && rest.back() == '"') {
      rest = rest.substr(1, rest.size() - 2);
    }
    options_.variables[name] = rest;
    return Line::done;
  }
  if (word == ":ON") {
    const std::string what = upper_case(rest);
    if (what == "ERROR EXIT" || what == "ERROR IGNORE") {
      options_.stops_on_error = what == "ERROR EXIT";
      return Line::done;
    }
  }
  complain_(fmt::format("'{}' is not understood; :setvar, :on error, :exit and :quit are.", line));
  return Line::unreadable;
}

bool ScriptRunner::replace_variables(std::string& line) {
  std::size_t at = 0;
  while ((at = line.find("$(", at)) != std::string::npos) {
    const std::size_t end = line.find(')', at);
    if (end == std::string::npos) return true;
    const std::string name = line.substr(at + 2, end - at - 2);
    const auto found = options_.variables.find(upper_case(name));
    const char* inherited = std::getenv(name.c_str());
    if (found == options_.variables.end() && inherited == nullptr) {
      complain_(
          fmt::format("The scripting variable '{}' has no value: give -v {}=...", name, name));
      return false;
    }
    const std::string value = found != options_.variables.end() ? found->second : inherited;
    line.replace(at, end + 1 - at, value);
    at += value.size();  // What was put in is not looked at again.
  }
  return true;
}

/// Goes over the line to know in what the next one begins.
void ScriptRunner::follow(const std::string& line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const char next = i + 1 < line.size() ? line[i + 1] : '\0';
    if (quote_ != '\0') {
      if (c != quote_) continue;
      if (next == quote_) {
        i += 1;  // A doubled one stands for itself.
      } else {
        quote_ = '\0';
      }
    } else if (c == '/' && next == '*') {
      comment_depth_ += 1;
      i += 1;
    } else if (comment_depth_ > 0) {
      if (c != '*' || next != '/') continue;
      comment_depth_ -= 1;
      i += 1;
    } else if (c == '-' && next == '-') {
      return;
    } else if (c == '\'' || c == '"') {
      quote_ = c;
    } else if (c == '[') {
      quote_ = ']';
    }
  }
}

}  // namespace sqlcmd
