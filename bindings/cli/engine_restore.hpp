// engine_restore.hpp: the database engine of a restore, for a process of its own (`vdset restore`)
// and for one that is the server anyway (bindings/sqlcmd).
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "control.hpp"
#include "engine_set.hpp"
#include "stream.hpp"

namespace cli {

/// What one device says of itself before its data.
struct DeviceDescription {
  BlockHeader header;
  std::vector<std::uint8_t> payload;
};

struct RestorePlan {
  bool reads_on = true;          // False: what the descriptions say is all that is wanted.
  bool mounts_snapshot = false;  // MountSnapshot after the last Read.
  std::string temporary_path;    // The file to fill. Empty: everything is checked, nothing kept.
};

struct RestoreJob {
  EngineOptions options;
  RestorePlan plan;
  /// Reads have the length of the Writes, or are pieces of them, one at a time per device; none
  /// goes beyond the end. The stream must say its lengths (BackupJob::names_next). Else several
  /// Reads of the largest size are under way, some of them beyond the end.
  bool reads_exactly = false;
  /// With reads_exactly: called once, in any thread, when all devices have described themselves, in
  /// the order of the devices; says how to go on in place of `plan`. May throw Failure.
  std::function<RestorePlan(std::span<const DeviceDescription>)> on_described;
};

/// Blocks until every device is closed. Throws Failure.
void serve_restore(const RestoreJob& job, EngineObserver& observer);

}  // namespace cli
