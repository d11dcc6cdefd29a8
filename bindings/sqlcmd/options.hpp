// options.hpp: the command line, as sqlcmd and osql take it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sqlcmd {

inline constexpr std::int32_t print_all_headers = -1;

struct Options {
  std::string server;               // -S; only printed.
  std::string database;             // -d
  std::string databases_directory;  // --databases, else $VDSET_DATABASES
  bool has_query = false;
  bool exits_after_query = false;  // -Q, not -q
  std::string query;
  std::vector<std::string> input_paths;          // -i
  std::string output_path;                       // -o
  bool stops_on_error = false;                   // -b
  std::int32_t severity_for_exit = 0;            // -V; 0: more than 10 counts
  std::int32_t severity_to_print = 0;            // -m; print_all_headers
  std::int32_t errors_to_stderr = -1;            // -r: 0 errors, 1 all messages; -1 none
  std::int32_t login_timeout_s = 3;              // -l: for the set to appear; 0 no limit
  std::int32_t query_timeout_s = 0;              // -t; 0 none
  std::int32_t rows_per_header = 0;              // -h; 0 one header, -1 none
  std::string separator = " ";                   // -s
  std::int32_t width = 80;                       // -w
  bool trims_blanks = false;                     // -W
  std::int32_t wide_column_max = 256;            // -y; 0 no limit
  std::int32_t column_max = 0;                   // -Y; 0 no limit
  bool echoes_input = false;                     // -e
  bool has_quoted_identifiers = false;           // -I: "x" is a name only, not a text.
  bool substitutes_variables = true;             // not -x
  std::string batch_end = "GO";                  // -c
  std::map<std::string, std::string> variables;  // -v, names in upper case
  bool wants_usage = false;                      // -?
  bool wants_version = false;                    // --version
};

/// Empty when the arguments make sense, else what is wrong, to be printed.
std::string parse_options(const std::vector<std::string>& arguments, Options& out);

/// "0.1.0", and with the program's name before it.
std::string version_number();
std::string program_version();

std::string usage_text(const std::string& program);

}  // namespace sqlcmd
