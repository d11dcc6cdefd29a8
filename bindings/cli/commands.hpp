// commands.hpp: what the user can ask for. main.cpp fills these from the command line; text that
// has a unit or a meaning of its own is judged in options.cpp.
#pragma once
#include <cstdint>
#include <string>

namespace cli {

/// What backup and restore share.
struct SetOptions {
  std::string set_name;            // "": vdset-UUID.
  std::string max_transfer_size;   // "": the default.
  std::uint32_t buffer_count = 0;  // 0: the default.
  bool uses_processes = false;
  bool wants_json = false;
  bool wants_progress = false;
  bool is_quiet = false;
};

struct BackupOptions {
  SetOptions set;
  std::string database;
  std::string directory;
  std::uint32_t devices_count = 1;
  std::string block_size = "4K";
  std::string compression = "none";
  std::string on_helper_death = "fail";
  bool replaces = false;
};

struct RestoreOptions {
  SetOptions set;
  std::string directory;
  std::string database;
};

struct VerifyOptions {
  std::string directory;
  bool wants_json = false;
};

/// Each runs to the end and returns; failures are thrown.
void run_backup(const BackupOptions& options);
void run_restore(const RestoreOptions& options);
void run_verify(const VerifyOptions& options);

}  // namespace cli
