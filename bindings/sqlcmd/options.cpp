// options.cpp: one table; values attached ("-Qselect 1") or separate ("-Q" "select 1").
#include "options.hpp"

#include <fmt/core.h>
#include <vdset.h>

#include <charconv>
#include <cstdlib>

#include "lexer.hpp"

namespace sqlcmd {

namespace {

enum class Takes : std::uint8_t {
  nothing,
  value,        // Attached, or the next argument.
  perhaps,      // Perhaps a value: attached, or the next argument if that is no option.
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
    {'N', Takes::perhaps, nullptr},
    {'k', Takes::perhaps, nullptr},
    {'p', Takes::perhaps, nullptr},
    {'X', Takes::perhaps, nullptr},
    {'H', Takes::value, nullptr},
    {'J', Takes::value, nullptr},
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
    {'r', Takes::perhaps, set_redirection},
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

/// The long names of the newer sqlcmd.
struct LongName {
  const char* name;
  char letter;
};

constexpr LongName long_names[] = {
    {"server", 'S'},
    {"user-name", 'U'},
    {"use-trusted-connection", 'E'},
    {"trust-server-certificate", 'C'},
    {"encrypt-connection", 'N'},
    {"server-certificate", 'J'},
    {"host-name-in-certificate", 'F'},
    {"use-aad", 'G'},
    {"dedicated-admin-connection", 'A'},
    {"multi-subnet-failover", 'M'},
    {"application-intent", 'K'},
    {"workstation-name", 'H'},
    {"packet-size", 'a'},
    {"change-password", 'z'},
    {"change-password-exit", 'Z'},
    {"database-name", 'd'},
    {"query", 'Q'},
    {"initial-query", 'q'},
    {"input-file", 'i'},
    {"output-file", 'o'},
    {"unicode-output-file", 'u'},
    {"code-page", 'f'},
    {"exit-on-error", 'b'},
    {"error-severity-level", 'V'},
    {"error-level", 'm'},
    {"errors-to-stderr", 'r'},
    {"login-timeout", 'l'},
    {"query-timeout", 't'},
    {"headers", 'h'},
    {"column-separator", 's'},
    {"screen-width", 'w'},
    {"trim-spaces", 'W'},
    {"variable-type-width", 'y'},
    {"fixed-type-width", 'Y'},
    {"remove-control-characters", 'k'},
    {"batch-terminator", 'c'},
    {"variables", 'v'},
    {"disable-variable-substitution", 'x'},
    {"disable-cmd-and-warn", 'X'},
    {"echo-input", 'e'},
    {"enable-quoted-identifiers", 'I'},
    {"print-statistics", 'p'},
    {"client-regional-setting", 'R'},
    {"help", '?'},
};

/// Defaults from the environment; the command line wins. (SQLCMDUSER and SQLCMDPASSWORD are read by
/// nobody: there is no login.)
constexpr LongName environment_names[] = {
    {"SQLCMDSERVER", 'S'},          {"SQLCMDDBNAME", 'd'},
    {"SQLCMDLOGINTIMEOUT", 'l'},    {"SQLCMDSTATTIMEOUT", 't'},
    {"SQLCMDHEADERS", 'h'},         {"SQLCMDCOLSEP", 's'},
    {"SQLCMDCOLWIDTH", 'w'},        {"SQLCMDERRORLEVEL", 'm'},
    {"SQLCMDMAXVARTYPEWIDTH", 'y'}, {"SQLCMDMAXFIXEDTYPEWIDTH", 'Y'},
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
    for (const LongName& row : environment_names) {
      const char* value = std::getenv(row.name);
      if (value == nullptr || *value == '\0') continue;
      const std::string wrong = find_row(row.letter)->apply(out_, value);
      if (!wrong.empty()) return fmt::format("the environment's {}: {}", row.name, wrong);
    }
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
  /// "--name", "--name value", "--name=value".
  std::string take_long(const std::string& argument) {
    const std::size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = argument.substr(2, equals - 2);
    const std::string attached = argument.substr(std::min(equals + 1, argument.size()));
    if (name == "version") {
      out_.wants_version = true;
      return {};
    }
    if (name == "databases") {
      static constexpr OptionRow row = {'\0', Takes::value,
                                        set_text<&Options::databases_directory>};
      return name_fault("--databases", take_value(row, attached));
    }
    for (const LongName& known : long_names) {
      if (name != known.name) continue;
      return name_fault("--" + name, take_option(*find_row(known.letter), attached));
    }
    return unknown("--" + name);
  }

  static std::string unknown(const std::string& option) {
    return fmt::format("'{}': unknown option. '-?' shows those that are known.", option);
  }

  static std::string name_fault(const std::string& option, const std::string& wrong) {
    return wrong.empty() ? wrong : fmt::format("'{}': {}", option, wrong);
  }

  std::string take_option(const OptionRow& row, const std::string& attached) {
    if (row.takes != Takes::nothing) return take_value(row, attached);
    return row.apply != nullptr ? row.apply(out_, "") : "";
  }

  /// "-bE" is two options without values; "-bQ" "x" ends with one that has a value.
  std::string take_letters(const std::string& argument) {
    if (argument.size() < 2 || argument[0] != '-') {
      return fmt::format("'{}': not an option. '-?' shows those that are known.", argument);
    }
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const std::string option = std::string("-") + argument[i];
      const OptionRow* row = find_row(argument[i]);
      if (row == nullptr) return unknown(option);
      const std::string wrong = take_option(*row, argument.substr(i + 1));
      if (!wrong.empty()) return name_fault(option, wrong);
      if (row->takes != Takes::nothing) break;
    }
    return {};
  }

  std::string take_value(const OptionRow& row, const std::string& attached) {
    const auto apply = [&](const std::string& value) {
      return row.apply != nullptr ? row.apply(out_, value) : std::string();
    };
    const bool is_at_end = at_ >= arguments_.size();
    const std::string next = is_at_end ? "" : arguments_[at_];
    const bool takes_many = row.takes == Takes::assignments || row.takes == Takes::paths;
    // An empty password in a shell's quotes, -P"", is just -P: then the next option is none.
    const bool is_left_out =
        row.apply == nullptr && next.size() == 2 && next[0] == '-' && find_row(next[1]) != nullptr;
    const bool takes_next =
        row.takes == Takes::perhaps ? !is_at_end && !next.starts_with("-") : !is_left_out;
    std::string wrong;
    if (!attached.empty() || !takes_next) {
      wrong = apply(attached);
    } else if (is_at_end) {
      // A password at the very end may be none.
      return row.apply == nullptr ? "" : "its value is missing.";
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

std::string version_number() {
  return fmt::format("{}.{}.{}", VDSET_VERSION_MAJOR, VDSET_VERSION_MINOR, VDSET_VERSION_PATCH);
}

std::string program_version() {
  return "vdset sqlcmd " + version_number();
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
  --version, -?     and the long names of these: --query, --server, --database-name ...

Accepted and of no consequence: -U -P -E -C -N -k -H -J -K -a -f -u -p -n -A -D -F -G -g -j -M -R
-X -Z -z. Exit code: 0, or 1 for bad options and, with -b, after an error.
)";
}

}  // namespace sqlcmd
