// tests/conformance/peer.cpp: see peer.hpp. The lines are listed in verbs().
#include "peer.hpp"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>

extern char** environ;

namespace conformance {

constexpr int peer_descriptor = 3;

Peer::Peer(Context& context) : context_(context) {
  int pair[2];
  context.check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pair[1], peer_descriptor);
  const char* const words[] = {"test_conformance", "--peer", context.face.word(), nullptr};
  const int error =
      posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(words), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pair[1]);
  socket_ = pair[0];
  context.check(error == 0, "a peer is started");
}

Peer::~Peer() {
  kill();
  if (socket_ >= 0) close(socket_);
}

void Peer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Peer::start(const std::string& line) {
  const std::string text = line + "\n";
  if (send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()))
    return;
  context_.check(false, "a peer is gone before: " + line);
  throw Stop();
}

int Peer::finish() {
  std::size_t stop;
  while ((stop = unread_.find('\n')) == std::string::npos) {
    char bytes[1024];
    const ssize_t got = read(socket_, bytes, sizeof bytes);
    if (got <= 0) {
      context_.check(false, "a peer ended without a reply");
      throw Stop();
    }
    unread_.append(bytes, static_cast<std::size_t>(got));
  }
  std::istringstream reply(unread_.substr(0, stop));
  unread_.erase(0, stop + 1);
  int64_t code = 0, number = 0;
  reply >> code;
  numbers_.clear();
  while (reply >> number)
    numbers_.push_back(number);
  return static_cast<int>(code);
}

int Peer::call(const std::string& line) {
  start(line);
  return finish();
}

namespace {

/// The peer's own side: one client, one server, whatever it is told to be.
class Served {
 public:
  explicit Served(const std::string& face) : face_(make_face(face)) {}

  int run() {
    std::FILE* const in = fdopen(peer_descriptor, "r");
    fcntl(peer_descriptor, F_SETFD, FD_CLOEXEC);
    char line[512];
    while (std::fgets(line, sizeof line, in) != nullptr) {
      std::istringstream words(line);
      std::string verb;
      words >> verb;
      const auto found = verbs().find(verb);
      std::ostringstream reply;
      const int code = found != verbs().end() ? (this->*found->second)(words, reply) : 1;
      const std::string text = std::to_string(code) + reply.str() + "\n";
      if (write(peer_descriptor, text.data(), text.size()) < 0) break;
    }
    _exit(0);  // The scenario has ended: nobody cares for an orderly end.
  }

 private:
  using In = std::istringstream;
  using Out = std::ostringstream;
  using Verb = int (Served::*)(In&, Out&);

  // ---- Client
  int create(In& in, Out&) {
    std::string name;
    VDConfig wish = {};
    in >> name >> wish.deviceCount >> wish.features >> wish.serverTimeOut;
    return client_->create(name, wish);
  }
  int join(In& in, Out&) {
    std::string name;
    in >> name;
    return client_->open_in_secondary(name);
  }
  int conf(In& in, Out& out) {
    int64_t ms = 0;
    in >> ms;
    VDConfig config = {};
    const int result = client_->get_configuration(ms, config);
    out << ' ' << config.features << ' ' << config.maxTransferSize;
    return result;
  }
  int open(In& in, Out&) {
    std::string name;
    in >> name;
    ClientDevice* device = nullptr;
    const int result = client_->open_device(name, device);
    if (device != nullptr) devices_.push_back(device);
    return result;
  }
  int get(In& in, Out& out) {
    std::size_t d = 0;
    int64_t ms = 0;
    in >> d >> ms;
    Fetched command;
    const int result = devices_.at(d)->get(ms, command);
    if (result != ok) return result;
    held_.push_back(command);
    out << ' ' << command.code << ' ' << command.size << ' ' << command.position << ' '
        << (command.buffer != nullptr && command.size > 0 ? command.buffer[0] : -1);
    return result;
  }
  /// Of the commands held, number `i`.
  int complete(In& in, Out&) {
    std::size_t d = 0, i = 0;
    int code = 0;
    uint32_t bytes = 0;
    in >> d >> i >> code >> bytes;
    return devices_.at(d)->complete(held_.at(i), code, bytes);
  }
  /// Keeps what is written until CLOSE; tells how much.
  int store(In&, Out& out) {
    stored_.clear();
    const int result = serve([this](const Fetched& command) {
      if (command.code == VDC_Write)
        stored_.append(reinterpret_cast<const char*>(command.buffer),
                       static_cast<std::size_t>(command.size));
      return devices_.at(0)->complete(command, 0, static_cast<uint32_t>(command.size));
    });
    out << ' ' << stored_.size();
    return result;
  }
  /// Gives back what was stored until CLOSE; tells how much. A Read beyond the end is short.
  int replay(In&, Out& out) {
    std::size_t at = 0;
    const int result = serve([&](const Fetched& command) {
      if (command.code != VDC_Read) return devices_.at(0)->complete(command, 0);
      const std::size_t asked = static_cast<std::size_t>(command.size);
      const std::size_t bytes = std::min(asked, stored_.size() - at);
      std::memcpy(command.buffer, stored_.data() + at, bytes);
      at += bytes;
      return devices_.at(0)->complete(command, bytes < asked ? 38 : 0,
                                      static_cast<uint32_t>(bytes));
    });
    out << ' ' << at;
    return result;
  }
  /// Fetches and hands on until CLOSE; else the first code that is not ok.
  template <class Complete>
  int serve(Complete complete) {
    for (;;) {
      Fetched command;
      int result = devices_.at(0)->get(infinite, command);
      if (result == VD_E_CLOSE) return ok;
      if (result == ok) result = complete(command);
      if (result != ok) return result;
    }
  }
  int fill(In& in, Out&) {
    std::size_t i = 0;
    int byte = 0;
    in >> i >> byte;
    std::memset(held_.at(i).buffer, byte, static_cast<std::size_t>(held_.at(i).size));
    return ok;
  }
  int handle(In& in, Out& out) {
    std::size_t i = 0;
    in >> i;
    uint32_t handle = 0;
    const int result = client_->get_handle(held_.at(i).buffer, handle);
    out << ' ' << handle << ' ' << reinterpret_cast<int64_t>(held_.at(i).buffer);
    return result;
  }
  /// Maps a handle; tells its first byte and its address, then fills `count` bytes with `byte`.
  int map(In& in, Out& out) {
    uint32_t handle = 0, count = 0;
    int byte = 0;
    in >> handle >> count >> byte;
    uint8_t* mapped = nullptr;
    const int result = client_->map_handle(handle, mapped);
    if (result != ok) return result;
    out << ' ' << int{mapped[0]} << ' ' << reinterpret_cast<int64_t>(mapped);
    std::memset(mapped, byte, count);
    return result;
  }
  int abort(In& in, Out&) {
    int code = 0;
    std::string text;
    in >> code;
    std::getline(in >> std::ws, text);
    return client_->abort_because(code, text.c_str());
  }
  int reason(In&, Out& out) { return tell(*client_, out); }
  int close(In&, Out&) {
    devices_.clear();
    return client_->close();
  }

  // ---- Server
  int server_open(In& in, Out&) {
    std::string name;
    in >> name;
    return server_->open(name);
  }
  int server_begin(In& in, Out&) {
    uint32_t features = 0;
    in >> features;
    return server_->begin(features, 512, 0, 65536);
  }
  int server_end(In&, Out&) {
    const int result = server_->request(65536, 0, 8);
    return result == ok ? server_->end() : result;
  }
  int server_device(In& in, Out&) {
    std::string name;
    in >> name;
    ServerDevice* device = nullptr;
    const int result = server_->open_device(name, device);
    if (device != nullptr) server_devices_.push_back(device);
    return result;
  }
  int server_agent(In&, Out&) {
    agent_ = std::thread([this] { agent_result_ = server_->run_agent(); });
    return ok;
  }
  int server_agent_result(In&, Out&) {
    agent_.join();
    return agent_result_;
  }
  int server_send(In& in, Out&) {
    std::size_t d = 0;
    int code = 0, size = 0;
    in >> d >> code >> size;
    uint8_t* buffer = nullptr;
    if (size > 0) {
      const int result = server_->allocate(buffer, static_cast<uint32_t>(size));
      if (result != ok) return result;
      std::memset(buffer, 'S', static_cast<std::size_t>(size));
    }
    sent_.push_back(std::make_unique<Sent>(code, size, buffer));
    return server_devices_.at(d)->send(*sent_.back());
  }
  /// The completion code of the command sent `i`-th.
  int server_wait(In& in, Out& out) {
    std::size_t i = 0;
    in >> i;
    const int code = sent_.at(i)->wait();
    out << ' ' << sent_.at(i)->bytes;
    return code;
  }
  int server_close_device(In& in, Out&) {
    std::size_t d = 0;
    in >> d;
    return server_devices_.at(d)->close();
  }
  int server_abort(In& in, Out&) {
    int code = 0;
    std::string text;
    in >> code;
    std::getline(in >> std::ws, text);
    return server_->abort_because(code, text.c_str());
  }
  int server_reason(In&, Out& out) { return tell(*server_, out); }
  int server_close(In&, Out&) { return server_->close(); }

  template <class Role>
  static int tell(Role& role, Out& out) {
    Reason reason = {};
    const int result = role.abort_reason(reason);
    out << ' ' << reason.role << ' ' << reason.pid << ' ' << reason.call << ' ' << reason.code;
    return result;
  }

  static const std::map<std::string, Verb>& verbs() {
    static const std::map<std::string, Verb> table = {
        {"create", &Served::create},
        {"join", &Served::join},
        {"conf", &Served::conf},
        {"open", &Served::open},
        {"get", &Served::get},
        {"complete", &Served::complete},
        {"store", &Served::store},
        {"replay", &Served::replay},
        {"fill", &Served::fill},
        {"handle", &Served::handle},
        {"map", &Served::map},
        {"abort", &Served::abort},
        {"reason", &Served::reason},
        {"close", &Served::close},
        {"server-open", &Served::server_open},
        {"server-begin", &Served::server_begin},
        {"server-end", &Served::server_end},
        {"server-device", &Served::server_device},
        {"server-agent", &Served::server_agent},
        {"server-agent-result", &Served::server_agent_result},
        {"server-send", &Served::server_send},
        {"server-wait", &Served::server_wait},
        {"server-close-device", &Served::server_close_device},
        {"server-abort", &Served::server_abort},
        {"server-reason", &Served::server_reason},
        {"server-close", &Served::server_close}};
    return table;
  }

  std::unique_ptr<Face> face_;
  std::unique_ptr<Client> client_ = face_->client();
  std::unique_ptr<Server> server_ = face_->server();
  std::vector<ClientDevice*> devices_;
  std::vector<Fetched> held_;
  std::string stored_;
  std::vector<ServerDevice*> server_devices_;
  std::vector<std::unique_ptr<Sent>> sent_;
  std::thread agent_;
  int agent_result_ = 1;
};

}  // namespace

int run_peer(const std::string& face_name) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // However the scenario ends, and whatever this one waits for.
  return Served(face_name).run();
}

}  // namespace conformance
