// tests/sqlcmd/client.hpp: a small VDI client as a test sees it: it makes a set, starts sqlcmd
// through popen, serves the devices from memory with a thread each, and says how all that ended.
// The quirks are those that section 14 of the reference lists of real clients.
#pragma once
#include <vdset.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sqlcmd_test {

using Bytes = std::vector<std::uint8_t>;
using Media = std::vector<Bytes>;  // One per device.

struct Answer {
  std::int32_t code = 0;
  std::uint32_t bytes = 0;
  std::int64_t position = 0;
  bool ends_client = false;  // Does not complete the command and closes the set as it is.
  bool aborts = false;       // Completes, then SignalAbort.
  bool aborts_first = false;  // Before it answers: the abort is why the command fails.
  const char* abort_text = "the client has had enough";
  bool leaves = false;  // Completes, then closes the set without waiting for CLOSE.
};

struct ClientPlan {
  std::string set_name;
  std::uint32_t devices_count = 1;
  std::uint32_t features = 0;
  std::uint32_t server_timeout_ms = 0;
  std::vector<std::string> device_names;  // Empty: set_name, set_name1, set_name2...
  std::string statement;                  // For sqlcmd -b -Q.
  std::string arguments;                  // More of them, as the shell reads them.
  std::uint32_t read_limit = 0xFFFFFFFF;  // Never answers a Read with more.
  bool reports_eof = false;               // Short last reads with 38, else with SUCCESS.
  bool in_turn = false;      // One thread: a command of the first device, one of the second...
  bool polls = false;        // GetCommand(0) in a loop.
  bool writes_junk = false;  // Bytes and positions for commands that have none.
  std::function<std::optional<Answer>(std::uint32_t device, const vdset_command&, Media&)> quirk;
};

struct DeviceOutcome {
  std::vector<std::uint32_t> commands;
  std::int32_t end = 0;            // What GetCommand said last.
  std::uint32_t reads_at_end = 0;  // Reads that found nothing left: should not happen.
  std::uint64_t read_bytes = 0;
};

struct Outcome {
  int exit_code = -1;
  std::string output;           // Standard output and error of sqlcmd.
  std::int32_t configured = 0;  // What GetConfiguration said.
  std::int32_t closed = 0;      // What Close said.
  vdset_config config = {};
  vdset_abort_reason reason = {};  // When aborted.
  std::vector<DeviceOutcome> devices;

  bool has(const std::string& text) const { return output.find(text) != std::string::npos; }
  /// "Msg 3013," and so on, in this order.
  bool has_messages(std::initializer_list<int> numbers) const;
};

/// A directory for databases and one where sets meet, gone at the end.
class Place {
 public:
  Place();
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  const std::string& directory() const { return directory_; }
  std::string database(const std::string& name) const;

 private:
  std::string directory_;
};

/// Runs a command line in the shell, with standard error; returns the exit code.
int run_shell(const std::string& command, std::string& output);

/// sqlcmd alone, without a client.
int run_sqlcmd(const std::string& arguments, std::string& output);

/// A database of some megabytes.
void make_database(const std::string& path, int rows, const std::string& journal);
/// What `.sha3sum` of the sqlite3 shell says.
std::string content_of(const std::string& path);

Outcome run_client(const ClientPlan& plan, Media& media);

}  // namespace sqlcmd_test
