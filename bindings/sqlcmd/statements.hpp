// statements.hpp: BACKUP and RESTORE, each as one call that says everything about itself.
#pragma once
#include "catalogue.hpp"
#include "console.hpp"
#include "description.hpp"
#include "options.hpp"
#include "request.hpp"

namespace sqlcmd {

struct Surroundings {
  const Options& options;
  const Catalogue& catalogue;
  Console& console;
  bool counts_rows = true;  // SET NOCOUNT OFF
};

/// True when it succeeded; the last message is 3014 (3262, a table) or 3013.
bool run_statement(const Request& request, const Surroundings& surroundings);

// The parts; they throw Refusal and cli::Failure, and say the final message of a success.
class ServedSet;
void run_backup_database(const Request& request, const Surroundings& surroundings, ServedSet& set);
void run_backup_snapshot(const Request& request, const Surroundings& surroundings, ServedSet& set);
void run_restore_database(const Request& request, const Surroundings& surroundings, ServedSet& set);
void run_listing(const Request& request, const Surroundings& surroundings, ServedSet& set);
void run_recovery_only(const Request& request, const Surroundings& surroundings);

/// Before a set is looked for; throw Refusal.
void check_backup(const Request& request, const Surroundings& surroundings);
void check_restore(const Request& request, const Surroundings& surroundings);

/// What BACKUP says of itself. `page_bytes` and the rest come from the engine.
Description describe_backup(const Request& request, const Catalogue& catalogue);

/// 4035 and 3014. Pages of 8192 bytes: the server's unit.
void say_finished(const Request& request, std::uint64_t bytes, double seconds, Console& console);

/// Adds the name of this computer to messages and descriptions.
std::string computer_name();

}  // namespace sqlcmd
