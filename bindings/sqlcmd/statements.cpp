// statements.cpp: the frame around every BACKUP and RESTORE: refusals, failures, the last message.
#include "statements.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <optional>

#include "served_set.hpp"

namespace sqlcmd {

namespace {

constexpr std::int32_t patience_without_limit_s = 65534;  // -l 0
constexpr std::uint64_t page_bytes = 8192;

void check(const Request& request, const Surroundings& surroundings) {
  const bool needs_directory = request.is_backup() || request.is_restore();
  if (needs_directory && !surroundings.catalogue.is_usable()) {
    const std::string& directory = surroundings.catalogue.directory();
    throw Refusal(number::no_directory,
                  directory.empty()
                      ? "There are no databases: set VDSET_DATABASES or give --databases."
                      : fmt::format("The databases' directory '{}' is not there.", directory));
  }
  if (request.is_backup()) check_backup(request, surroundings);
  if (request.is_restore()) check_restore(request, surroundings);
}

void run_with(const Request& request, const Surroundings& surroundings, ServedSet& set) {
  const std::int32_t timeout_s = surroundings.options.query_timeout_s;
  set.watch(timeout_s);
  if (request.is_backup()) {
    if (request.is_snapshot) return run_backup_snapshot(request, surroundings, set);
    return run_backup_database(request, surroundings, set);
  }
  const bool lists = !request.is_restore() && request.verb != Verb::verify;
  if (lists) return run_listing(request, surroundings, set);
  run_restore_database(request, surroundings, set);
}

/// Throws Refusal only; everything else has been explained.
bool serve(const Request& request, const Surroundings& surroundings,
           std::optional<HeldSignals>& signals) {
  Console& console = surroundings.console;
  const std::int32_t login_timeout_s = surroundings.options.login_timeout_s;
  ServedSet set(request, login_timeout_s == 0 ? patience_without_limit_s : login_timeout_s,
                console);
  signals.emplace();
  try {
    run_with(request, surroundings, set);
    return true;
  } catch (const Refusal& refusal) {
    set.give_up(refusal.what());
    throw;
  } catch (const cli::Failure& failure) {
    set.give_up(failure.what());
    set.explain(request, failure, console);
  } catch (const std::exception& error) {
    set.give_up(error.what());
    console.say(error_message(number::internal, std::string("Unexpected: ") + error.what() + ".",
                              request.line));
  }
  return false;
}

}  // namespace

bool run_statement(const Request& request, const Surroundings& surroundings) {
  Console& console = surroundings.console;
  std::optional<HeldSignals> signals;
  bool is_opened = false;
  try {
    check(request, surroundings);
    if (request.devices.empty()) {
      run_recovery_only(request, surroundings);
      return true;
    }
    is_opened = true;
    if (serve(request, surroundings, signals)) return true;
  } catch (const Refusal& refusal) {
    if (!is_opened) reject_set(request, refusal.what());
    console.say(error_message(refusal.number(), refusal.what(), request.line));
  } catch (const cli::Failure& failure) {
    if (!is_opened) reject_set(request, failure.what());
    console.say(
        error_message(number_of_failure(request, failure), failure.text() + ".", request.line));
  }
  console.say(error_message(number::finished_badly,
                            fmt::format("{} is terminating abnormally.", verb_name(request.verb)),
                            request.line));
  if (request.is_backup()) {
    console.log(error_message(number::failed_for_the_log,
                              fmt::format("{} of '{}' failed; the log of the backup application "
                                          "may say more.",
                                          verb_name(request.verb), request.database),
                              request.line));
  }
  return false;
}

void say_finished(const Request& request, std::uint64_t bytes, double seconds, Console& console) {
  const std::uint64_t pages_count = (bytes + page_bytes - 1) / page_bytes;
  const double megabytes = static_cast<double>(bytes) / (1024 * 1024);
  if (bytes > 0) {
    console.say({number::processed, severity_info,
                 fmt::format("Processed {} pages for database '{}', file '{}' on file 1.",
                             pages_count, request.database, request.database),
                 request.line});
  }
  console.say({number::finished, severity_info,
               fmt::format("{} successfully processed {} pages in {:.3f} seconds ({:.3f} MB/sec).",
                           verb_name(request.verb), pages_count, seconds,
                           seconds > 0 ? megabytes / seconds : 0.0),
               request.line});
}

std::string computer_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
  return name;
}

}  // namespace sqlcmd
