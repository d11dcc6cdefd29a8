// tests/support/process.hpp: role programs under the command of a test: separately exec'ed, told by
// lines what to call, each step under a watchdog, all killed when the test ends.
//
// A command is `@LANE verb words key=value`; lanes are threads of the role, one command at a time
// each. The answer is `@LANE ok key=value ...` or `@LANE error CODE text`.
#pragma once
#include <sys/types.h>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace process {

inline constexpr int watchdog_ms = 10'000;

struct Answer {
  std::string error;  // Empty: ok. Else a name such as VDSET_E_TIMEOUT.
  std::string text;   // The words of an error.
  std::map<std::string, std::string, std::less<>> fields;

  bool ok() const { return error.empty(); }
  const std::string& at(std::string_view key) const;
  std::uint64_t number(std::string_view key) const;
  std::int64_t signed_number(std::string_view key) const;
};

class Stage;
class Role;

/// Keeps a role of a namespace of its own in its last steps: killed, it closes its files, but does
/// not end before this does.
class LastSteps {
 public:
  explicit LastSteps(const Role& role);
  ~LastSteps() { finish(); }
  LastSteps(const LastSteps&) = delete;
  LastSteps& operator=(const LastSteps&) = delete;
  void finish();

 private:
  pid_t helper_ = -1;
  int told_ = -1;  // The helper reads the other end, until it is closed.
};

/// Whom a role runs as; the driver itself is root.
struct User {
  unsigned uid = 0;
  unsigned gid = 0;
  std::string groups;  // Supplementary, separated by commas.
  // In a pid namespace of its own, under a process that dies with it and it with that one.
  bool in_namespace = false;
};
inline const User root_user{};
inline const User nobody_user{65534, 65534, ""};
inline const User daemon_user{1, 1, ""};
inline const User namespaced_user{0, 0, "", true};
/// Whether a namespaced user can be had; says so when not.
bool can_unshare();

class Role {
 public:
  Role(Stage& stage, std::string name, const std::string& program, const User& user);
  ~Role();
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }

  /// On lane 0; the answer whatever it is.
  Answer call(const std::string& command);
  /// The call must succeed.
  Answer ok(const std::string& command);
  /// The call must fail with this code.
  Answer refuse(const std::string& command, const std::string& code);
  /// Again and again until the call fails with this code.
  Answer until(const std::string& command, const std::string& code);
  /// Again and again until the call succeeds.
  Answer until_ok(const std::string& command) { return until(command, ""); }

  void start(const std::string& lane, const std::string& command);
  /// The answer of what was started, whatever it is.
  Answer wait(const std::string& lane);
  Answer wait_ok(const std::string& lane);
  Answer wait_refused(const std::string& lane, const std::string& code);
  bool is_busy(const std::string& lane) const { return waiting_.count(lane) != 0; }
  /// Whether the answer is there already.
  bool answered(const std::string& lane);
  /// Returns when the thread of the lane sleeps inside its call.
  void until_asleep(const std::string& lane);

  void signal(int number);
  /// SIGSTOP, and until the kernel says that it stands still.
  void stop();
  void proceed();
  /// SIGKILL and reap.
  void kill();
  /// The process must end well, of its own.
  void expect_end();
  /// The process must end by this signal, of its own.
  void expect_death(int number);
  bool dead() const { return reaped_; }

 private:
  void send(const std::string& line);
  bool read_some(int timeout_ms);
  void take_lines();
  void note_addresses(const Answer& answer);
  void reap(int timeout_ms);
  [[noreturn]] void give_up(const std::string& why);

  Stage& stage_;
  std::string name_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int to_ = -1;
  int from_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  std::string received_;
  std::map<std::string, std::string> waiting_;  // Lane, command.
  std::map<std::string, Answer> answers_;
};

/// One test: a fresh directory to meet in, and the roles.
class Stage {
 public:
  Stage();
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  Role& add(const std::string& name, const User& user = root_user);
  /// A role from another program beside `role`.
  Role& add_from(const std::string& name, const std::string& program,
                 const User& user = root_user);
  /// Ends the role that was added last.
  void drop_last() { roles_.pop_back(); }
  const std::string& directory() const { return directory_; }
  /// Makes the meeting directory another one: this mode and owner.
  void set_directory(unsigned mode, unsigned uid, unsigned gid) const;
  /// Files in the meeting directory now.
  std::vector<std::string> nodes() const;
  /// A buffer's address, seen in a process: no other process may have it.
  void note_address(pid_t pid, std::uint64_t address);
  std::size_t addresses_seen() const { return addresses_.size(); }

 private:
  std::string directory_;
  std::vector<std::unique_ptr<Role>> roles_;
  std::map<std::uint64_t, pid_t> addresses_;
};

/// What a set is made with; the defaults are a small backup.
struct Plan {
  unsigned devices = 1;
  std::string create;
  std::string open;
  std::string begin = "features=0x10000 block=512 transfer=65536";
  std::vector<std::string> requests = {"65536 0 4"};
};

/// The name of a set's i-th device: the set's own for the first.
std::string device_name(const std::string& set, unsigned i);
/// The names of devices [first, end), separated by commas.
std::string device_names(const std::string& set, unsigned first, unsigned end);
/// Create, Open, BeginConfiguration, RequestBuffers, EndConfiguration, GetConfiguration.
void configure(Role& server, Role& primary, const std::string& set, const Plan& plan = {});
/// The server names all devices and its agent runs, on lane `agent`.
void activate(Role& server, const std::string& set, unsigned devices);
/// Closes the server's devices, ends the agent, closes both roles.
void finish(Role& server, Role& primary, const std::string& set, unsigned devices);
/// Closes both roles whatever the state; an agent that runs ends with it.
void bury(Role& server, Role& primary);

}  // namespace process
