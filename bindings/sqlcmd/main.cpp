// main.cpp: sqlcmd, and osql: a session over SQLite databases that speaks enough T-SQL for the
// clients of virtual devices. docs/sqlcmd.md says what is understood.
#include <fmt/core.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "script.hpp"
#include "session.hpp"

namespace {

constexpr int exit_fine = 0;
constexpr int exit_bad = 1;

using namespace sqlcmd;

/// Runs the query and the files or standard input; returns the exit code.
class Program {
 public:
  Program(Options& options, const Catalogue& catalogue, Console& console)
      : options_(options),
        console_(console),
        session_(options, catalogue, console),
        runner_(
            options, [this](const std::string& batch) { return run_batch(batch); },
            [this](const std::string& text) { console_.echo(text); }) {}

  int run() {
    if (!options_.database.empty() && !session_.use(options_.database, 1)) return exit_bad;
    if (options_.has_query) {
      const ScriptEnd end = runner_.run_text(options_.query);
      if (end != ScriptEnd::at_end || options_.exits_after_query) return exit_code(end);
    }
    for (const std::string& path : options_.input_paths) {
      std::ifstream file(path);
      if (!file) {
        fmt::print(stderr, "Sqlcmd: '{}': cannot be read.\n", path);
        return exit_bad;
      }
      const ScriptEnd end = runner_.run(file);
      if (end != ScriptEnd::at_end) return exit_code(end);
    }
    if (!options_.input_paths.empty()) return exit_code(ScriptEnd::at_end);
    return exit_code(runner_.run(std::cin));
  }

 private:
  bool run_batch(const std::string& batch) {
    session_.run_batch(batch);
    const std::int32_t worst = console_.take_worst_severity();
    const std::int32_t least = options_.severity_for_exit > 0 ? options_.severity_for_exit : 11;
    if (worst < least) return true;
    has_failed_ = true;
    return !options_.stops_on_error;
  }

  int exit_code(ScriptEnd end) const {
    if (end == ScriptEnd::unreadable) return exit_bad;
    const bool counts = options_.stops_on_error || options_.severity_for_exit > 0;
    return has_failed_ && counts ? exit_bad : exit_fine;
  }

  Options& options_;
  Console& console_;
  Session session_;
  ScriptRunner runner_;
  bool has_failed_ = false;
};

int run_program(const std::vector<std::string>& arguments, const std::string& program) {
  Options options;
  const std::string wrong = parse_options(arguments, options);
  if (!wrong.empty()) {
    fmt::print(stderr, "Sqlcmd: {}\n", wrong);
    return exit_bad;
  }
  if (options.wants_usage || options.wants_version) {
    const std::string text = options.wants_usage ? usage_text(program) : program_version() + "\n";
    std::fputs(text.c_str(), stdout);
    return exit_fine;
  }
  if (options.databases_directory.empty()) {
    const char* directory = std::getenv("VDSET_DATABASES");
    if (directory != nullptr) options.databases_directory = directory;
  }
  Console console;
  if (!console.open(options)) {
    fmt::print(stderr, "Sqlcmd: '{}': cannot be written.\n", options.output_path);
    return exit_bad;
  }
  const Catalogue catalogue(options.databases_directory);
  const int code = Program(options, catalogue, console).run();
  if (console.close()) return code;
  fmt::print(stderr, "Sqlcmd: '{}': cannot be written to its end.\n", options.output_path);
  return exit_bad;
}

}  // namespace

int main(int count, char** values) {
  // Clients set 0 for their own files and start this program as their child: no reason for a
  // restored database that everybody may write to.
  const mode_t inherited = ::umask(S_IWGRP | S_IWOTH);
  ::umask(inherited | S_IWGRP | S_IWOTH);
  // A client that does not care for what is printed still wants its backup.
  std::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);  // Else std::cin takes a failed read for the end.
  const std::string path = count > 0 ? values[0] : "sqlcmd";
  try {
    return run_program({values + 1, values + count}, path.substr(path.find_last_of('/') + 1));
  } catch (const std::exception& error) {
    std::fputs((std::string("Sqlcmd: unexpected: ") + error.what() + "\n").c_str(), stderr);
    return exit_bad;
  }
}
