// tests/process/role.hpp: the role program: does what its standard input says, one line a call.
// Each lane (`@LANE`) is a thread; answers are `@LANE ok key=value ...` or `@LANE error CODE text`.
#pragma once
#include <vdset.h>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace role {

/// One command, split: positional words and key=value options.
class Words {
 public:
  explicit Words(const std::string& line);
  const std::string& verb() const { return verb_; }
  std::string word(std::size_t i) const { return i < words_.size() ? words_[i] : std::string(); }
  /// Positional number; decimal or 0x.
  std::int64_t number(std::size_t i, std::int64_t otherwise = 0) const;
  /// Positional words from the i-th on.
  std::string rest(std::size_t i) const;
  std::string option(const std::string& key, const std::string& otherwise = "") const;
  std::int64_t option_number(const std::string& key, std::int64_t otherwise = 0) const;
  /// An option whose value is a list with commas.
  std::vector<std::string> list(const std::string& key) const;

 private:
  std::string verb_;
  std::vector<std::string> words_;
  std::map<std::string, std::string> options_;
};

using Verb = std::string (*)(const Words&);
using Verbs = std::map<std::string, Verb>;
void add_client_verbs(Verbs& verbs);
void add_server_verbs(Verbs& verbs);
void add_work_verbs(Verbs& verbs);
void add_check_verbs(Verbs& verbs);
void add_race_verbs(Verbs& verbs);

/// Answers.
[[gnu::format(printf, 1, 2)]] std::string ok(const char* format, ...);
std::string ok();
/// The name of a code and the library's words.
std::string refused(std::int32_t code);
std::string mistake(const std::string& why);
std::string described(std::int32_t code, const vdset_buffer& buffer);
std::string described(const vdset_loss& loss);
inline std::string result(std::int32_t code) {
  return code == VDSET_OK ? ok() : refused(code);
}

/// A command that this process sent as a server, from send to its completion.
struct Sent {
  vdset_command command{};
  unsigned id = 0;
};
struct Done {
  unsigned id;
  std::int32_t code;
  std::int32_t bytes;
  std::int64_t position;
  bool immediate;  // Called back from within send, in the sender's thread.
};
/// A command that this process fetched as a client.
struct Fetched {
  vdset_device* device;
  const vdset_command* command;
};

/// Everything this process has opened, by label. Closed objects stay: calls on them are tested.
struct Objects {
  std::mutex lock;
  std::map<std::string, vdset_set*> sets;
  std::map<std::string, vdset_device*> devices;
  std::map<std::string, vdset_server*> servers;
  std::map<std::string, vdset_server_device*> server_devices;
  std::map<unsigned, Fetched> fetched;
  unsigned next_fetched = 1;
  unsigned next_sent = 1;
  std::deque<Done> done;
  std::condition_variable done_changed;
};
extern Objects& objects;

/// By option `set`, `device`, `server`; the default is the last opened. Null when there is none.
vdset_set* set_of(const Words& w);
vdset_device* device_of(const Words& w);
vdset_server* server_of(const Words& w);
vdset_server_device* server_device_of(const Words& w);
template <class T>
void keep(std::map<std::string, T*>& in, const std::string& label, T* object) {
  const std::lock_guard guard(objects.lock);
  in[label] = in[""] = object;
}
template <class T>
T* find(std::map<std::string, T*>& in, const std::string& label) {
  const std::lock_guard guard(objects.lock);
  const auto at = in.find(label);
  return at == in.end() ? nullptr : at->second;
}

void* address_of(const std::string& text);
std::int64_t thread_number();
/// Whether the thread of a lane sleeps inside a call. -1: no such lane, or it is between calls.
int is_lane_asleep(const std::string& lane);

/// A primary and a server in this process, up to EndConfiguration: `buffers` of `size` bytes. The
/// code of the first call that failed.
std::int32_t configure_alone(const std::string& name, unsigned devices, std::uint32_t size,
                             std::uint32_t buffers, vdset_set*& primary, vdset_server*& server);
/// A backup with every role in this process; the code of the first call that failed.
std::int32_t back_up_alone(const std::string& name);

/// A pattern that depends on the seed and on every position.
void fill(void* to, std::size_t bytes, std::uint64_t seed);
bool is_filled(const void* from, std::size_t bytes, std::uint64_t seed);

}  // namespace role
