// fuzz/tsql_reference.hpp: docs/sqlcmd.md written down again, plainly: tokens, batches, and a
// printer of statements. Shares nothing with bindings/sqlcmd but its types.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>
#include "bindings/sqlcmd/tsql.hpp"

namespace vdset::fuzz::tsql {

using sqlcmd::TokenKind;

constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

inline sqlcmd::Position position_of(std::string_view text, std::size_t offset) {
  sqlcmd::Position at;
  for (const char c : text.substr(0, offset))
    at = c == '\n' ? sqlcmd::Position{at.line + 1, 1} : sqlcmd::Position{at.line, at.column + 1};
  return at;
}

struct Piece {
  TokenKind kind;
  std::string text;
  std::size_t begin;
};

inline constexpr std::string_view blanks = " \t\r\n\f\v", digits = "0123456789";

inline bool begins_word(char c) {
  return c == '_' || c == '#' || (c & 0x80) != 0 || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/// The end of the comment that begins at `at`, npos without one.
inline std::size_t end_of_comment(std::string_view text, std::size_t at) {
  std::size_t depth = 1;
  for (at += 2; depth > 0;) {
    const std::size_t opens = text.find("/*", at), closes = text.find("*/", at);
    if (closes == text.npos) return text.npos;
    depth = opens < closes ? depth + 1 : depth - 1;
    at = std::min(opens, closes) + 2;
  }
  return at;
}

/// From the quote at `at` on; moves it behind the closing one, or to npos.
inline std::string quoted(std::string_view text, std::size_t& at, char closing) {
  std::string inside;
  for (++at;;) {
    const std::size_t end = text.find(closing, at);
    inside += text.substr(at, end == text.npos ? end : end - at);
    if (end == text.npos) {
      at = end;
      return inside;
    }
    at = end + 1;
    if (at >= text.size() || text[at] != closing) return inside;
    inside += closing;
    ++at;
  }
}

inline std::size_t end_of_word(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at)
    if (!begins_word(text[at]) && digits.find(text[at]) == digits.npos && text[at] != '@' &&
        text[at] != '$')
      break;
  return at;
}

inline std::size_t end_of_number(std::string_view text, std::size_t at) {
  for (;;) {
    at = std::min(text.find_first_not_of(digits, at), text.size());
    const bool goes_on =
        at + 1 < text.size() && text[at] == '.' && digits.find(text[at + 1]) != digits.npos;
    if (!goes_on) return at;
    ++at;
  }
}

/// The last is `end`, or `bad` where it cannot be read further.
inline std::vector<Piece> read(std::string_view text, bool has_quoted_identifiers) {
  std::vector<Piece> pieces;
  std::size_t at = 0;
  for (;;) {
    at = std::min(text.find_first_not_of(blanks, at), text.size());
    const std::size_t begin = at;
    const std::string_view two = text.substr(at, 2);
    if (two == "--") {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (two == "/*") {
      at = end_of_comment(text, at);
      if (at != text.npos) continue;
      pieces.push_back({TokenKind::bad, "", begin});
      return pieces;
    }
    if (at == text.size() || text[at] == '\0') {
      pieces.push_back({at == text.size() ? TokenKind::end : TokenKind::bad, "", begin});
      return pieces;
    }
    TokenKind kind = TokenKind::symbol;
    std::string inside;
    const char c = text[at];
    if (c == '\'' || two == "N'" || two == "n'") {
      at += c == '\'' ? 0 : 1;
      kind = TokenKind::text;
      inside = quoted(text, at, '\'');
    } else if (c == '[' || c == '"') {
      kind = c == '[' || has_quoted_identifiers ? TokenKind::quoted : TokenKind::either;
      inside = quoted(text, at, c == '[' ? ']' : '"');
    } else {
      at = begin + 1;
      if (digits.find(c) != digits.npos) {
        kind = TokenKind::number;
        at = end_of_number(text, begin);
      } else if (c == '@' || begins_word(c)) {
        kind = c == '@' ? TokenKind::variable : TokenKind::word;
        at = end_of_word(text, begin);
      }
      inside = text.substr(begin, at - begin);
    }
    if (at == text.npos) kind = TokenKind::bad;
    pieces.push_back({kind, inside, begin});
    if (kind == TokenKind::bad) return pieces;
  }
}

// ---- Batches

inline std::string trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r\n");
  if (begin == line.npos) return {};
  return std::string(line.substr(begin, line.find_last_not_of(" \t\r\n") - begin + 1));
}

/// How often a line that ends a batch runs it; -1: it is none.
inline int times_of(std::string_view line) {
  const std::string whole = trimmed(line);
  const std::size_t end = std::min(whole.find_first_of(" \t"), whole.size());
  if (sqlcmd::upper_case(whole.substr(0, end)) != "GO") return -1;
  const std::string rest = trimmed(whole.substr(end));
  if (rest.empty() || rest.starts_with("--")) return 1;
  if (rest.find_first_not_of(digits) != rest.npos) return -1;
  unsigned long times = 0;
  for (const char c : rest)
    times = std::min(times * 10 + static_cast<unsigned long>(c - '0'), 10000000ul);
  return times <= 1000000 ? static_cast<int>(times) : -1;
}

enum class Order { none, skip, stop };

/// Commands of sqlcmd itself.
inline Order order_of(std::string_view line, bool is_first) {
  std::string upper = sqlcmd::upper_case(trimmed(line));
  if (is_first && (upper == "EXIT" || upper == "QUIT" || upper == "EXIT()")) return Order::stop;
  if (upper.empty() || upper[0] != ':') return Order::none;
  const std::size_t end = std::min(upper.find_first_of(" \t"), upper.size());
  const std::string word = upper.substr(0, end), rest = trimmed(upper.substr(end));
  if (word == ":SETVAR") return Order::skip;
  if (word == ":ON" && (rest == "ERROR EXIT" || rest == "ERROR IGNORE")) return Order::skip;
  return Order::stop;
}

/// What is run of a script, one after the other, up to `most` of them.
inline std::vector<std::string> split(std::string_view text, std::size_t most) {
  std::vector<std::string> runs;
  std::string pending;
  const auto run = [&](int times) {
    if (!trimmed(pending).empty())
      for (int i = 0; i < times && runs.size() < most; ++i)
        runs.push_back(pending);
    pending.clear();
  };
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty() && runs.size() < most) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    // Inside of quotes or a comment a line is only text.
    if (read(pending, false).back().kind == TokenKind::end) {
      const int times = times_of(line);
      if (times >= 0) {
        run(times);
        continue;
      }
      const Order order = order_of(line, pending.empty());
      if (order == Order::stop) return runs;
      if (order == Order::skip) continue;
    }
    pending += line;
    pending += '\n';
  }
  run(1);
  return runs;
}

// ---- Printing

inline std::string in_quotes(const std::string& text, char closing) {
  std::string out;
  for (const char c : text)
    out += c == closing ? std::string(2, c) : std::string(1, c);
  return (closing == ']' ? "[" : "N'") + out + closing;
}

inline std::string print(const sqlcmd::Value& value) {
  switch (value.kind) {
    case sqlcmd::ValueKind::null: return "NULL";
    case sqlcmd::ValueKind::text: return in_quotes(value.text, '\'');
    case sqlcmd::ValueKind::number:
    case sqlcmd::ValueKind::variable: return value.text;
    case sqlcmd::ValueKind::function: break;
  }
  std::string out;
  for (const sqlcmd::Value& argument : value.arguments)
    out += (out.empty() ? "" : ", ") + print(argument);
  return value.text + "(" + out + ")";
}

inline std::string print(const sqlcmd::Expression& expression) {
  std::string out;
  for (const sqlcmd::Value& value : expression)
    out += (out.empty() ? "" : " + ") + print(value);
  return out;
}

inline std::string print_name(const sqlcmd::Value& name) {
  return name.kind == sqlcmd::ValueKind::variable ? name.text : in_quotes(name.text, ']');
}

inline std::string print(const sqlcmd::Option& option) {
  using Form = sqlcmd::OptionForm;
  std::string out = option.spec->name;
  if (!option.value) return out;
  out += (option.spec->form == Form::move ? " " : " = ") + print(*option.value);
  if (!option.second) return out;
  return out + (option.spec->form == Form::move ? " TO " : " AFTER ") + print(*option.second);
}

inline std::string print_select(const sqlcmd::Statement& s) {
  std::string items;
  for (const sqlcmd::SelectItem& item : s.items) {
    items += items.empty() ? " " : ", ";
    items += item.expression.empty() ? in_quotes(item.column, ']') : print(item.expression);
    if (!item.alias.empty()) items += " AS " + in_quotes(item.alias, ']');
  }
  if (!s.table.empty()) items += " FROM " + in_quotes(s.table, ']');
  if (s.wanted_name) items += " WHERE name = " + print(*s.wanted_name);
  return items;
}

inline std::string print_media(const sqlcmd::Statement& s) {
  const bool has_name = s.verb <= sqlcmd::Verb::restore_log;
  const bool is_backup = s.verb <= sqlcmd::Verb::backup_log;
  std::string out = has_name ? " " + print_name(s.database) : "";
  std::string files, devices, options;
  for (const sqlcmd::Value& file : s.files)
    files += (files.empty() ? " FILE = " : ", FILE = ") + print(file);
  for (const sqlcmd::Value& device : s.devices)
    devices += (devices.empty() ? (is_backup ? " TO " : " FROM ") : ", ") +
               std::string("VIRTUAL_DEVICE = ") + print(device);
  for (const sqlcmd::Option& option : s.options)
    options += (options.empty() ? " WITH " : ", ") + print(option);
  return out + files + devices + options;
}

inline std::string print(const sqlcmd::Statement& s) {
  using sqlcmd::Verb;
  const std::string verb = sqlcmd::verb_name(s.verb);
  switch (s.verb) {
    case Verb::use: return verb + " " + print_name(s.database);
    case Verb::declare:
      return verb + " " + s.variable + " int" +
             (s.expression.empty() ? "" : " = " + print(s.expression));
    case Verb::assign: return verb + " " + s.variable + " = " + print(s.expression);
    case Verb::ignore: return verb + (s.is_on ? " X ON" : " X OFF");
    case Verb::count_rows: return verb + (s.is_on ? " NOCOUNT ON" : " NOCOUNT OFF");
    case Verb::alter: return verb + " " + print_name(s.database) + " SET X";
    case Verb::print: return verb + " " + print(s.expression);
    case Verb::select: return verb + print_select(s);
    case Verb::quit: return verb;
    default: return verb + print_media(s);
  }
}

inline std::string print(const std::vector<sqlcmd::Statement>& statements) {
  std::string out;
  for (const sqlcmd::Statement& statement : statements)
    out += print(statement) + ";\n";
  return out;
}

}  // namespace vdset::fuzz::tsql
