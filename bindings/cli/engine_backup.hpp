// engine_backup.hpp: the database engine of a backup, for a process of its own (`vdset backup`) and
// for one that is the server anyway (bindings/sqlcmd).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control.hpp"
#include "engine_set.hpp"
#include "snapshot.hpp"

namespace cli {

struct BackupJob {
  std::string source;  // The database file.
  EngineOptions options;
  /// Every block says how long the device's next one is, so that a reader can ask for whole blocks.
  /// Needs 2 x devices + 1 buffers.
  bool names_next = false;
  /// The payload of a description block before each device's data, exactly
  /// description_payload_bytes. Empty: no description.
  std::function<std::vector<std::uint8_t>(const Snapshot&)> describe;
};

/// Blocks until every device is closed. Throws Failure.
void serve_backup(const BackupJob& job, EngineObserver& observer);

}  // namespace cli
