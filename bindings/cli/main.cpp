// main.cpp: the command line and its help. The only file that includes CLI11.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>

#include "commands.hpp"
#include "failure.hpp"
#include "json.hpp"
#include "output.hpp"
#include "roles.hpp"

namespace {

constexpr const char* version_text = "vdset 0.2.0";

constexpr const char* about =
    "Backs up and restores SQLite databases through a virtual device set in shared memory.\n"
    "An engine process sends commands, agent processes carry them out in the same buffers.\n"
    "\n"
    "The usual way:\n"
    "  vdset backup  app.sqlite --to backup-dir     make a backup while the program runs\n"
    "  vdset verify  backup-dir                     is it whole?\n"
    "  vdset restore backup-dir --to app.sqlite     bring it back";

constexpr const char* exit_codes =
    "Exit codes:\n"
    "  0  all done\n"
    "  1  a bug, or the system refused something unexpected\n"
    "  2  a bad option or size\n"
    "  3  bad input: no such file, not a database, not a backup, a device file missing\n"
    "  4  the backup or the database is damaged\n"
    "  5  no space, or an I/O error\n"
    "  6  stopped by a signal, or one of the processes died\n"
    "  7  the set's name is in use\n"
    "  8  a backup is there already, or the database is in use\n"
    "  9  not enough memory for the buffers\n"
    "A failure is one line on stderr: what, where, what to do. Nothing half-written stays.";

constexpr const char* backup_help =
    "Example: four devices, a process for each, compressed by workers that get buffer handles:\n"
    "  vdset backup app.sqlite --to backup-dir --devices 4 --processes --compress zstd\n"
    "\n"
    "The backup is one consistent snapshot. In WAL mode other programs go on writing to the\n"
    "database meanwhile; with a rollback journal they wait, and vdset says so.\n"
    "DIR gets device-0.vdset, device-1.vdset ... in the end, all or none: killed while it names\n"
    "them, the next vdset there (backup, restore, verify) finishes the naming. Shared memory:\n"
    "--buffer-count times --max-transfer-size, once for all processes.\n"
    "Sizes are bytes, or end in K or M.\n";

constexpr const char* restore_help =
    "Example:\n"
    "  vdset restore backup-dir --to app.sqlite --processes\n"
    "\n"
    "All blocks are checked, written to a temporary file beside DATABASE, checked again by SQLite\n"
    "(PRAGMA integrity_check), and put in place by one rename: DATABASE is the old file or the\n"
    "whole new one. Refused as DATABASE: one that is in use or has a journal with changes, a file\n"
    "that is no database, a file of the backup.\n";

constexpr const char* copies_help =
    "The report's copied bytes went through memory of one process alone, between the buffers of\n"
    "the set and a file or SQLite. A backup copies none. A restore copies every block once, since\n"
    "other processes can change a buffer while it is checked; and once more what was compressed\n"
    "with a larger --max-transfer-size than the restore's.\n";

constexpr const char* verify_help =
    "Example:\n"
    "  vdset verify backup-dir && echo whole\n"
    "\n"
    "Reads every byte of the backup once; checks every checksum, every total, and that no block\n"
    "is missing, doubled or of another backup. Needs no database and little memory.\n";

void add_set_options(CLI::App& command, cli::SetOptions& options) {
  command.add_option("--name", options.set_name,
                     "Name of the set, which others on this machine see (default: a new one)");
  command.add_flag("--processes", options.uses_processes,
                   "One secondary process per device instead of one thread");
  command.add_option("--max-transfer-size", options.max_transfer_size,
                     "Bytes of a buffer: a multiple of 64K up to 4M (default 1M)");
  command.add_option("--buffer-count", options.buffer_count,
                     "Buffers of the set (default: five per device and two more)");
  command.add_flag("--json", options.wants_json, "Report as one JSON object on stdout");
  command.add_flag("--progress", options.wants_progress,
                   "With --json: also one JSON object a second while it runs");
  command.add_flag("--quiet", options.is_quiet, "No progress on stderr");
}

void add_backup(CLI::App& app, cli::BackupOptions& options) {
  CLI::App* command = app.add_subcommand("backup", "Back up a database into a directory");
  command->add_option("DATABASE", options.database, "The SQLite database file")->required();
  command->add_option("--to", options.directory, "The directory of the backup")->required();
  command->add_option("--devices", options.devices_count, "Virtual devices, 1 to 64 (default 1)");
  command->add_option("--block-size", options.block_size,
                      "Every transfer is a multiple of it: 512 to 64K (default 4K)");
  command->add_option("--compress", options.compression,
                      "none or zstd: by one worker process per device (default none)");
  command->add_option("--on-helper-death", options.on_helper_death,
                      "When a secondary or worker is killed: fail, or hand-over to a new one");
  command->add_flag("--force", options.replaces, "Replace the backup that is in DIR");
  add_set_options(*command, options.set);
  command->footer(std::string(backup_help) + "\n" + copies_help + "\n" + exit_codes);
}

void add_restore(CLI::App& app, cli::RestoreOptions& options) {
  CLI::App* command = app.add_subcommand("restore", "Restore a database from a directory");
  command->add_option("DIR", options.directory, "The directory of the backup")->required();
  command->add_option("--to", options.database, "The database file to make or replace")->required();
  add_set_options(*command, options.set);
  command->footer(std::string(restore_help) + "\n" + copies_help + "\n" + exit_codes);
}

void add_verify(CLI::App& app, cli::VerifyOptions& options) {
  CLI::App* command = app.add_subcommand("verify", "Check a backup without restoring it");
  command->add_option("DIR", options.directory, "The directory of the backup")->required();
  command->add_flag("--json", options.wants_json, "Report as one JSON object on stdout");
  command->footer(std::string(verify_help) + "\n" + exit_codes);
}

/// The program's own children; nobody else calls these.
int run_hidden(const char* command, int count, char** words) {
  const cli::Arguments arguments(count, words);
  if (std::strcmp(command, "__engine-backup") == 0) return cli::run_engine_backup(arguments);
  if (std::strcmp(command, "__engine-restore") == 0) return cli::run_engine_restore(arguments);
  if (std::strcmp(command, "__secondary") == 0) return cli::run_secondary(arguments);
  if (std::strcmp(command, "__worker") == 0) return cli::run_worker(arguments);
  cli::fail(cli::ExitCode::usage, "no such command", command, "see vdset --help");
}

void print_failure(const char* command, const cli::Failure& failure, bool wants_json) {
  std::fprintf(stderr, "vdset: %s\n", cli::one_line(failure.what()).c_str());
  if (!wants_json) return;
  cli::JsonObject object;
  object.add("command", command).add("ok", false);
  object.add("exit_code", static_cast<int>(failure.code())).add("error", failure.text());
  cli::put_out(object.text() + "\n");
}

int run_guarded(const char* command, bool wants_json, const std::function<void()>& body) {
  try {
    body();
    return 0;
  } catch (const cli::ReportedFailure& failure) {
    print_failure(command, failure, false);
    return static_cast<int>(failure.code());
  } catch (const cli::Failure& failure) {
    print_failure(command, failure, wants_json);
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    const cli::Failure failure(cli::ExitCode::internal,
                               std::string("unexpected: ") + error.what() + "; this is a bug");
    print_failure(command, failure, wants_json);
    return static_cast<int>(failure.code());
  }
}

/// What was asked for is not known yet when the command line cannot be read.
bool asks_for_json(int count, char** words) {
  return std::any_of(words, words + count,
                     [](const char* word) { return std::strcmp(word, "--json") == 0; });
}

/// The first word that is a command's name; "" if there is none.
const char* command_of(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    for (const char* command : {"backup", "restore", "verify"})
      if (std::strcmp(words[i], command) == 0) return command;
  }
  return "";
}

int run_command_line(int count, char** words) {
  CLI::App app(about, "vdset");
  app.set_version_flag("--version", version_text);
  app.require_subcommand(1);
  app.footer(std::string("Help with examples: vdset backup --help\n\n") + exit_codes);
  cli::BackupOptions backup;
  cli::RestoreOptions restore;
  cli::VerifyOptions verify;
  add_backup(app, backup);
  add_restore(app, restore);
  add_verify(app, verify);
  try {
    app.parse(count, words);
  } catch (const CLI::Success& wanted) {  // --help, --version.
    const int code = app.exit(wanted);
    return std::cout.flush() ? code : static_cast<int>(cli::ExitCode::storage);
  } catch (const CLI::ParseError& error) {
    const cli::Failure failure(
        cli::ExitCode::usage,
        std::string(error.what()) + ": command line; see vdset --help or vdset COMMAND --help");
    print_failure(command_of(count, words), failure, asks_for_json(count, words));
    return static_cast<int>(failure.code());
  }
  if (app.got_subcommand("backup")) {
    return run_guarded("backup", backup.set.wants_json, [&] { cli::run_backup(backup); });
  }
  if (app.got_subcommand("restore")) {
    return run_guarded("restore", restore.set.wants_json, [&] { cli::run_restore(restore); });
  }
  return run_guarded("verify", verify.wants_json, [&] { cli::run_verify(verify); });
}

}  // namespace

int main(int count, char** words) {
  if (count >= 2 && std::strncmp(words[1], "__", 2) == 0) {
    int result = 0;
    const int failed =
        run_guarded("child", false, [&] { result = run_hidden(words[1], count - 2, words + 2); });
    return failed != 0 ? failed : result;
  }
  return run_command_line(count, words);
}
