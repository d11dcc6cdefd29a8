// tests/sqlcmd/client.cpp: the client's threads. The programs' paths come from the environment:
// SQLCMD.
#include "client.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace sqlcmd_test {

namespace {

constexpr std::int64_t second_ns = 1000000000;
constexpr std::int64_t configuration_wait_ns = 10 * second_ns;  // As the published samples do.
constexpr std::int64_t command_wait_ns = 90 * second_ns;
constexpr int watchdog_s = 60;

std::string program() {
  const char* path = std::getenv("SQLCMD");
  if (path == nullptr) throw std::runtime_error("set SQLCMD to the program's path");
  return path;
}

class Client {
 public:
  Client(const ClientPlan& plan, Media& media) : plan_(plan), media_(media) {
    media_.resize(plan_.devices_count);
    positions_.resize(plan_.devices_count);
    outcome_.devices.resize(plan_.devices_count);
  }

  Outcome run() {
    make_set();
    std::thread statement([this] { run_statement(); });
    outcome_.config.struct_bytes = sizeof outcome_.config;
    outcome_.configured =
        vdset_set_get_configuration(set_, configuration_wait_ns, &outcome_.config);
    std::vector<std::thread> threads;
    const bool is_configured = outcome_.configured == VDSET_OK;
    if (is_configured && plan_.in_turn) serve_in_turn();
    for (std::uint32_t i = 0; is_configured && !plan_.in_turn && i < plan_.devices_count; ++i) {
      threads.emplace_back([this, i] { serve(i); });
    }
    for (std::thread& thread : threads)
      thread.join();
    outcome_.reason.struct_bytes = sizeof outcome_.reason;
    vdset_set_get_abort_reason(set_, &outcome_.reason);
    outcome_.closed = vdset_set_close(set_);
    statement.join();
    return outcome_;
  }

 private:
  void make_set() {
    vdset_config config = {};
    config.struct_bytes = sizeof config;
    config.device_count = plan_.devices_count;
    config.features = plan_.features;
    config.server_timeout_ms = plan_.server_timeout_ms;
    const std::int32_t result = vdset_set_create(plan_.set_name.c_str(), &config, nullptr, &set_);
    if (result != VDSET_OK) throw std::runtime_error(vdset_last_error());
  }

  void run_statement() {
    std::string quoted;
    for (const char c : plan_.statement)
      quoted += c == '\'' ? "'\\''" : std::string(1, c);
    outcome_.exit_code =
        run_sqlcmd("-S . -E -C -b " + plan_.arguments + " -Q '" + quoted + "'", outcome_.output);
  }

  std::string name_of(std::uint32_t index) const {
    if (!plan_.device_names.empty()) return plan_.device_names[index];
    return index == 0 ? plan_.set_name : plan_.set_name + std::to_string(index);
  }

  void serve_in_turn() {
    std::vector<vdset_device*> devices(plan_.devices_count);
    for (std::uint32_t i = 0; i < plan_.devices_count; ++i) {
      outcome_.devices[i].end = vdset_set_open_device(set_, name_of(i).c_str(), &devices[i]);
    }
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (std::uint32_t i = 0; i < plan_.devices_count; ++i) {
        DeviceOutcome& outcome = outcome_.devices[i];
        if (outcome.end != VDSET_OK) continue;
        const vdset_command* command = nullptr;
        outcome.end = vdset_device_get_command(devices[i], command_wait_ns, &command);
        if (outcome.end != VDSET_OK) continue;
        goes_on = true;
        outcome.commands.push_back(command->code);
        const Answer answer = answer_to(i, *command);
        outcome.end = vdset_device_complete_command(devices[i], command, answer.code, answer.bytes,
                                                    answer.position);
      }
    }
  }

  void serve(std::uint32_t index) {
    DeviceOutcome& outcome = outcome_.devices[index];
    vdset_device* device = nullptr;
    outcome.end = vdset_set_open_device(set_, name_of(index).c_str(), &device);
    while (outcome.end == VDSET_OK) {
      const vdset_command* command = nullptr;
      do {
        outcome.end = vdset_device_get_command(device, plan_.polls ? 0 : command_wait_ns, &command);
      } while (plan_.polls && outcome.end == VDSET_E_TIMEOUT);
      if (outcome.end != VDSET_OK) break;
      outcome.commands.push_back(command->code);
      const Answer answer = answer_to(index, *command);
      if (answer.ends_client) return;
      if (answer.aborts_first) vdset_set_signal_abort(set_, answer.code, answer.abort_text);
      outcome.end = vdset_device_complete_command(device, command, answer.code, answer.bytes,
                                                  answer.position);
      if (answer.leaves) return;
      if (answer.aborts) vdset_set_signal_abort(set_, answer.code, answer.abort_text);
    }
  }

  Answer answer_to(std::uint32_t index, const vdset_command& command) {
    if (plan_.quirk) {
      const std::optional<Answer> answer = plan_.quirk(index, command, media_);
      if (answer) return *answer;
    }
    Answer answer;
    if (plan_.writes_junk) {
      answer.bytes = 0xFFFF;
      answer.position = -77;
    }
    Bytes& medium = media_[index];
    const auto* bytes = static_cast<const std::uint8_t*>(command.buffer);
    switch (command.code) {
      case VDSET_COMMAND_WRITE:
        if ((plan_.features & VDSET_FEATURE_RANDOM_ACCESS) != 0 &&
            static_cast<std::uint64_t>(command.position) != medium.size()) {
          return {VDSET_ERROR_WRITE_FAULT, 0, 0};
        }
        medium.insert(medium.end(), bytes, bytes + command.size);
        answer.bytes = static_cast<std::uint32_t>(command.size);
        return answer;
      case VDSET_COMMAND_READ: return read(index, command);
      case VDSET_COMMAND_FLUSH:
      case VDSET_COMMAND_COMPLETE:
      case VDSET_COMMAND_CLEAR_ERROR: return answer;
      default: return {VDSET_ERROR_NOT_SUPPORTED, 0, 0};
    }
  }

  Answer read(std::uint32_t index, const vdset_command& command) {
    const Bytes& medium = media_[index];
    std::uint64_t& position = positions_[index];
    if ((plan_.features & VDSET_FEATURE_RANDOM_ACCESS) != 0) {
      position = static_cast<std::uint64_t>(command.position);
    }
    const std::uint64_t left = medium.size() - std::min<std::uint64_t>(position, medium.size());
    std::uint64_t bytes = std::min<std::uint64_t>(left, static_cast<std::uint64_t>(command.size));
    const bool is_short = bytes < static_cast<std::uint64_t>(command.size);
    if (is_short) outcome_.devices[index].reads_at_end += 1;
    bytes = std::min<std::uint64_t>(bytes, plan_.read_limit);
    std::memcpy(command.buffer, medium.data() + position, bytes);
    position += bytes;
    outcome_.devices[index].read_bytes += bytes;
    Answer answer;
    answer.bytes = static_cast<std::uint32_t>(bytes);
    if (bytes == 0 || (is_short && plan_.reports_eof)) answer.code = VDSET_ERROR_HANDLE_EOF;
    return answer;
  }

  const ClientPlan& plan_;
  Media& media_;
  std::vector<std::uint64_t> positions_;
  Outcome outcome_;
  vdset_set* set_ = nullptr;
};

}  // namespace

bool Outcome::has_messages(std::initializer_list<int> numbers) const {
  std::size_t at = 0;
  for (const int number : numbers) {
    at = output.find("Msg " + std::to_string(number) + ",", at);
    if (at == std::string::npos) return false;
    at += 1;
  }
  return true;
}

Place::Place() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sqlcmd-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  directory_ = pattern;
  std::filesystem::create_directory(directory_ + "/databases");
  std::filesystem::create_directory(directory_ + "/runtime");
  std::filesystem::permissions(directory_ + "/runtime", std::filesystem::perms::owner_all);
  ::setenv("VDSET_DATABASES", (directory_ + "/databases").c_str(), 1);
  ::setenv("VDSET_RUNTIME_DIR", (directory_ + "/runtime").c_str(), 1);
}

Place::~Place() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string Place::database(const std::string& name) const {
  return directory_ + "/databases/" + name + ".db";
}

int run_shell(const std::string& command, std::string& output) {
  output.clear();
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return -1;
  char piece[4096];
  std::size_t got = 0;
  while ((got = std::fread(piece, 1, sizeof piece, pipe)) > 0)
    output.append(piece, got);
  const int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_sqlcmd(const std::string& arguments, std::string& output) {
  return run_shell("timeout -k 2 " + std::to_string(watchdog_s) + " " + program() + " " + arguments,
                   output);
}

void make_database(const std::string& path, int rows, const std::string& journal) {
  std::string output;
  const std::string script =
      "pragma journal_mode=" + journal +
      "; create table t(a integer primary key, b blob, c text);"
      "with recursive n(i) as (select 1 union all select i+1 from n where i<" +
      std::to_string(rows) +
      ") insert into t select i, randomblob(300 + i % 900), hex(zeroblob(i % 200)) from n;"
      "create index x on t(c);";
  if (run_shell("sqlite3 " + path + " '" + script + "'", output) != 0) {
    throw std::runtime_error(output);
  }
}

std::string content_of(const std::string& path) {
  std::string output;
  if (!std::filesystem::exists(path)) return "no such file " + path;
  run_shell("sqlite3 " + path + " .sha3sum", output);
  std::string verdict;
  run_shell("sqlite3 " + path + " 'pragma integrity_check'", verdict);
  return verdict == "ok\n" ? output : verdict;
}

Outcome run_client(const ClientPlan& plan, Media& media) {
  program();  // Throws here rather than in the statement's thread.
  return Client(plan, media).run();
}

}  // namespace sqlcmd_test
