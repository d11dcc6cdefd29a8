// options.cpp: one table; values attached ("-Qselect 1") or separate ("-Q" "select 1").
#include "options.hpp"

#include <fmt/core.h>

#include <charconv>
#include <functional>

#include "lexer.hpp"

namespace sqlcmd {

namespace {

enum class Takes : std::uint8_t {
  nothing,
  value,        // Attached, or the next argument.
  attached,     // Perhaps a value, but only attached.
  assignments,  // -v: all arguments up to the next option.
  paths,        // -i: the same, separated by commas too.
};

using Apply = std::string (*)(Options&, const std::string&);

struct OptionRow {
  char letter;
  Takes takes;
  Apply apply;  // Returns what is wrong. NULL: accepted, of no consequence here.
};

bool to_number(const std::string& text, std::int32_t& out) {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stopped == end && !text.empty();
}

template <std::int32_t Options::*field, std::int32_t least, std::int32_t most>
std::string set_number(Options& options, const std::string& text) {
  std::int32_t number = 0;
  if (!to_number(text, number) || number < least || number > most) {
    return fmt::format("'{}' is not a number from {} to {}.", text, least, most);
  }
  options.*field = number;
  return {};
}

template <std::string Options::*field>
std::string set_text(Options& options, const std::string& text) {
  options.*field = text;
  return {};
}

template <bool Options::*field, bool value>
std::string set_flag(Options& options, const std::string&) {
  options.*field = value;
  return {};
}

template <bool exits>
std::string set_query(Options& options, const std::string& text) {
  if (options.has_query) return "only one query can be given.";
  options.has_query = true;
  options.exits_after_query = exits;
  options.query = text;
  return {};
}

std::string set_separator(Options& options, const std::string& text) {
  if (text.size() != 1) return "the separator is one character.";
  options.separator = text;
  return {};
}

std::string set_redirection(Options& options, const std::string& text) {
  return set_number<&Options::errors_to_stderr, 0, 1>(options, text.empty() ? "0" : text);
}

std::string add_path(Options& options, const std::string& text) {
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) options.input_paths.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return {};
}

std::string add_assignment(Options& options, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return fmt::format("'{}' is not of the form name=value.", text);
  }
  std::string value = text.substr(equals + 1);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  options.variables[upper_case(text.substr(0, equals))] = value;
  return {};
}

constexpr std::int32_t most = 2147483647;

const OptionRow rows[] = {
    {'S', Takes::value, set_text<&Options::server>},
    {'U', Takes::value, nullptr},
    {'P', Takes::value, nullptr},
    {'Z', Takes::value, nullptr},
    {'z', Takes::value, nullptr},
    {'E', Takes::nothing, nullptr},
    {'C', Takes::nothing, nullptr},
    {'G', Takes::nothing, nullptr},
    {'g', Takes::nothing, nullptr},
    {'A', Takes::nothing, nullptr},
    {'j', Takes::nothing, nullptr},
    {'n', Takes::nothing, nullptr},
    {'R', Takes::nothing, nullptr},
    {'D', Takes::nothing, nullptr},
    {'M', Takes::nothing, nullptr},
    {'u', Takes::nothing, nullptr},
    {'N', Takes::attached, nullptr},
    {'k', Takes::attached, nullptr},
    {'p', Takes::attached, nullptr},
    {'X', Takes::attached, nullptr},
    {'H', Takes::value, nullptr},
    {'K', Takes::value, nullptr},
    {'a', Takes::value, nullptr},
    {'f', Takes::value, nullptr},
    {'F', Takes::value, nullptr},
    {'d', Takes::value, set_text<&Options::database>},
    {'q', Takes::value, set_query<false>},
    {'Q', Takes::value, set_query<true>},
    {'i', Takes::paths, add_path},
    {'o', Takes::value, set_text<&Options::output_path>},
    {'b', Takes::nothing, set_flag<&Options::stops_on_error, true>},
    {'e', Takes::nothing, set_flag<&Options::echoes_input, true>},
    {'I', Takes::nothing, set_flag<&Options::has_quoted_identifiers, true>},
    {'x', Takes::nothing, set_flag<&Options::substitutes_variables, false>},
    {'W', Takes::nothing, set_flag<&Options::trims_blanks, true>},
    {'V', Takes::value, set_number<&Options::severity_for_exit, 1, 25>},
    {'m', Takes::value, set_number<&Options::severity_to_print, -1, 25>},
    {'r', Takes::attached, set_redirection},
    {'l', Takes::value, set_number<&Options::login_timeout_s, 0, 65534>},
    {'t', Takes::value, set_number<&Options::query_timeout_s, 0, 65534>},
    {'h', Takes::value, set_number<&Options::rows_per_header, -1, most>},
    {'s', Takes::value, set_separator},
    {'w', Takes::value, set_number<&Options::width, 9, 65535>},
    {'y', Takes::value, set_number<&Options::wide_column_max, 0, 8000>},
    {'Y', Takes::value, set_number<&Options::column_max, 0, 8000>},
    {'c', Takes::value, set_text<&Options::batch_end>},
    {'v', Takes::assignments, add_assignment},
    {'?', Takes::nothing, set_flag<&Options::wants_usage, true>},
};

const OptionRow* find_row(char letter) {
  for (const OptionRow& row : rows) {
    if (row.letter == letter) return &row;
  }
  return nullptr;
}

class ArgumentReader {
 public:
  ArgumentReader(const std::vector<std::string>& arguments, Options& out)
      : arguments_(arguments), out_(out) {}

  std::string run() {
    while (at_ < arguments_.size()) {
      const std::string argument = arguments_[at_++];
      const std::string wrong =
          argument.starts_with("--") ? take_long(argument) : take_letters(argument);
      if (!wrong.empty()) return wrong;
    }
    if (out_.has_query && out_.exits_after_query && !out_.input_paths.empty()) {
      return "'-Q' and '-i': only one of them can be given.";
    }
    return {};
  }

 private:
  std::string take_long(const std::string& argument) {
    const std::string databases = "--databases";
    if (argument == "--help") {
      out_.wants_usage = true;
    } else if (argument == "--version") {
      out_.wants_version = true;
    } else if (argument == databases && at_ < arguments_.size()) {
      out_.databases_directory = arguments_[at_++];
    } else if (argument.starts_with(databases + "=")) {
      out_.databases_directory = argument.substr(databases.size() + 1);
    } else if (argument == databases) {
      return "'--databases': its value is missing.";
    } else {
      return fmt::format("'{}': unknown option. '-?' shows those that are known.", argument);
    }
    return {};
  }

  /// "-bE" is two options without values; "-bQ" "x" ends with one that has a value.
  std::string take_letters(const std::string& argument) {
    if (argument.size() < 2 || (argument[0] != '-' && argument[0] != '/')) {
      return fmt::format("'{}': not an option. '-?' shows those that are known.", argument);
    }
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const OptionRow* row = find_row(argument[i]);
      if (row == nullptr) {
        return fmt::format("'-{}': unknown option. '-?' shows those that are known.", argument[i]);
      }
      const std::string rest = argument.substr(i + 1);
      std::string wrong;
      if (row->takes == Takes::nothing) {
        wrong = row->apply != nullptr ? row->apply(out_, "") : "";
      } else {
        wrong = take_value(*row, rest);
      }
      if (!wrong.empty()) return fmt::format("'-{}': {}", row->letter, wrong);
      if (row->takes != Takes::nothing) break;
    }
    return {};
  }

  std::string take_value(const OptionRow& row, const std::string& attached) {
    const auto apply = [&](const std::string& value) {
      return row.apply != nullptr ? row.apply(out_, value) : std::string();
    };
    if (row.takes == Takes::attached) return apply(attached);
    const bool takes_many = row.takes == Takes::assignments || row.takes == Takes::paths;
    std::string wrong;
    if (!attached.empty()) {
      wrong = apply(attached);
    } else if (at_ >= arguments_.size()) {
      return "its value is missing.";
    } else {
      wrong = apply(arguments_[at_++]);
    }
    while (takes_many && wrong.empty() && at_ < arguments_.size() &&
           !arguments_[at_].starts_with("-")) {
      wrong = apply(arguments_[at_++]);
    }
    return wrong;
  }

  const std::vector<std::string>& arguments_;
  Options& out_;
  std::size_t at_ = 0;
};

}  // namespace

std::string parse_options(const std::vector<std::string>& arguments, Options& out) {
  return ArgumentReader(arguments, out).run();
}

std::string usage_text(const std::string& program) {
  return "usage: " + program + R"( [options]

Backs up and restores SQLite databases through virtual devices, spoken to in T-SQL.
The databases lie in one directory: NAME is the file NAME.db there.

  --databases DIR   the directory; default: $VDSET_DATABASES
  -Q text           run this and exit            -q text   run this, then read standard input
  -i file[,file]    run these files              -o file   write there
  -v name=value     scripting variables          -x        do not replace $(name)
  -c word           ends a batch (GO)            -e        print what is read
  -b                exit with 1 after an error   -V n      ... of at least this severity
  -m n              print from this severity on  -r[0|1]   errors (or all) to standard error
  -l seconds        wait so long for the set     -t seconds  end a statement after that time
  -h n              rows per header, -1 none     -s c      between columns
  -w n              width of a line              -W        no blanks after values
  -y n, -Y n        widest column                -d name   the database to begin with
  -S server         printed in messages          -I        "names" in quotes
  --version, -?

Accepted and of no consequence: -U -P -E -C -N -k -H -K -a -f -u -p -n -A -D -F -G -g -j -M -R
-X -Z -z. Exit code: 0, or 1 for bad options and, with -b, after an error.
)";
}

}  // namespace sqlcmd
