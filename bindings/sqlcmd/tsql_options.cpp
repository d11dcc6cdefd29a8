// tsql_options.cpp: which option is written how, where it may stand, and what becomes of it.
#include "tsql_options.hpp"

namespace sqlcmd {

namespace {

constexpr std::uint8_t everywhere = used_in_backup | used_in_restore | used_in_lists;
constexpr std::uint8_t in_reading = used_in_restore | used_in_lists;
using F = OptionForm;
using I = OptionId;

constexpr OptionSpec option_table[] = {
    {"BLOCKSIZE", F::number, I::block_size, everywhere},
    {"BUFFERCOUNT", F::number, I::buffer_count, everywhere},
    {"MAXTRANSFERSIZE", F::number, I::max_transfer_size, everywhere},
    {"STATS", F::maybe_number, I::stats, everywhere},
    {"SNAPSHOT", F::flag, I::snapshot, everywhere},
    {"METADATA_ONLY", F::flag, I::snapshot, everywhere},
    {"CHECKSUM", F::flag, I::checksum, everywhere},
    {"NO_CHECKSUM", F::flag, I::ignored, everywhere},
    {"STOP_ON_ERROR", F::flag, I::ignored, everywhere},
    {"CONTINUE_AFTER_ERROR", F::flag, I::ignored, everywhere},
    {"MEDIANAME", F::text, I::media_name, everywhere},
    {"PASSWORD", F::text, I::refused, everywhere},
    {"MEDIAPASSWORD", F::text, I::refused, everywhere},
    {"REWIND", F::flag, I::ignored, everywhere},
    {"NOREWIND", F::flag, I::ignored, everywhere},
    {"UNLOAD", F::flag, I::ignored, everywhere},
    {"NOUNLOAD", F::flag, I::ignored, everywhere},
    {"RESTART", F::flag, I::ignored, used_in_backup | used_in_restore},
    // BACKUP
    {"COPY_ONLY", F::flag, I::copy_only, used_in_backup},
    {"DIFFERENTIAL", F::flag, I::differential, used_in_backup},
    {"COMPRESSION", F::flag_with_list, I::compression, used_in_backup},
    {"NO_COMPRESSION", F::flag, I::ignored, used_in_backup},
    {"NAME", F::text, I::name, used_in_backup},
    {"DESCRIPTION", F::text, I::description, used_in_backup},
    {"MEDIADESCRIPTION", F::text, I::ignored, used_in_backup},
    {"EXPIREDATE", F::text, I::ignored, used_in_backup},
    {"RETAINDAYS", F::number, I::ignored, used_in_backup},
    {"FORMAT", F::flag, I::ignored, used_in_backup},
    {"NOFORMAT", F::flag, I::ignored, used_in_backup},
    {"INIT", F::flag, I::ignored, used_in_backup},
    {"NOINIT", F::flag, I::ignored, used_in_backup},
    {"SKIP", F::flag, I::ignored, used_in_backup},
    {"NOSKIP", F::flag, I::ignored, used_in_backup},
    {"NO_TRUNCATE", F::flag, I::ignored, used_in_backup},
    {"ENCRYPTION", F::flag_with_list, I::refused, used_in_backup},
    // RESTORE
    {"FILE", F::number, I::file, in_reading},
    {"LOADHISTORY", F::flag, I::ignored, used_in_lists},
    {"MOVE", F::move, I::move, in_reading},
    {"REPLACE", F::flag, I::replace, used_in_restore},
    {"RECOVERY", F::flag, I::recovery, used_in_restore},
    // After BACKUP LOG these would take the database out of use.
    {"NORECOVERY", F::flag, I::no_recovery, used_in_backup | used_in_restore},
    {"STANDBY", F::text, I::standby, used_in_backup | used_in_restore},
    {"STOPAT", F::text, I::stop_at, used_in_restore},
    {"STOPATMARK", F::mark, I::stop_at, used_in_restore},
    {"STOPBEFOREMARK", F::mark, I::stop_at, used_in_restore},
    {"PARTIAL", F::flag, I::ignored, used_in_restore},
    {"KEEP_REPLICATION", F::flag, I::ignored, used_in_restore},
    {"KEEP_CDC", F::flag, I::ignored, used_in_restore},
    {"RESTRICTED_USER", F::flag, I::ignored, used_in_restore},
    {"ENABLE_BROKER", F::flag, I::ignored, used_in_restore},
    {"NEW_BROKER", F::flag, I::ignored, used_in_restore},
    {"ERROR_BROKER_CONVERSATIONS", F::flag, I::ignored, used_in_restore},
};

}  // namespace

const OptionSpec* find_option(std::string_view upper_name) {
  for (const OptionSpec& spec : option_table) {
    if (upper_name == spec.name) return &spec;
  }
  return nullptr;
}

}  // namespace sqlcmd
