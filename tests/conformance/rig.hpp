// tests/conformance/rig.hpp: a set with both roles in this process, brought step by step into the
// state that a scenario needs.
#pragma once
#include <cstring>
#include "suite.hpp"

namespace conformance {

struct Rig {
  explicit Rig(Context& given_context, unsigned devices = 1, uint32_t features = 0);
  ~Rig() { end(); }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  /// The set's name, then name1, name2...
  std::string device_name(unsigned i) const { return i == 0 ? name : name + std::to_string(i); }

  // Each step needs the one before and ends the scenario when it fails.
  void create();             // Client Configurable.
  void connect();            // Server Connected.
  void begin();              // Server Configurable.
  void request();            // `buffers` of `transfer` bytes.
  void finish();             // Server Initializing.
  void get_configuration();  // Client Initializing.
  void open_devices();       // Both sides Active.
  void start_agent();
  void configure();  // All up to get_configuration.
  void activate();   // All.
  /// Every device closed by the server and seen closed by the client: NT.
  void terminate();

  int join_agent();
  /// The server's Close; its code. Where no thread may be in an object that is closed, the set is
  /// aborted first, which ends the agent.
  int close_server();
  void end();

  Fetched fetch(unsigned device = 0);
  void send(Sent& sent, unsigned device = 0);
  /// Client and server: one command, completed with `code`; the server's result.
  void exchange(Sent& sent, int code = 0, uint32_t bytes = 0, int64_t position = 0,
                unsigned device = 0);
  uint8_t* allocate(uint32_t size, uint32_t alignment = 0);

  Context& context;
  Face& face;
  std::string name;
  std::unique_ptr<Client> client;
  std::unique_ptr<Server> server;
  VDConfig wish = {};
  VDConfig agreed = {};
  uint32_t server_features = VDF_WriteMedia;  // Beside the client's.
  uint32_t block = 512;
  uint32_t alignment = 0;
  uint32_t transfer = 65536;
  uint32_t buffers = 8;
  std::vector<ClientDevice*> client_devices;
  std::vector<ServerDevice*> server_devices;
  std::thread agent;
  std::atomic<int> agent_result = 1;  // 1: it has not returned.
};

constexpr int64_t patience_ms = 20000;  // For what must come; the watchdog is shorter.

}  // namespace conformance
