// tests/conformance/client_matrix.cpp: every call of a client in every state (2.1). Each cell has a
// set of its own, brought into the state; then the call, its code, and the state it leaves.
#include "rig.hpp"

namespace conformance {
namespace {

enum State { dne, configurable, initializing, active, nt, aborted, states };
const char* const state_names[] = {"DNE", "Configurable", "Initializing", "Active", "NT", "Abort"};

constexpr int P = VD_E_PROTOCOL, A = VD_E_ABORT, I = VD_E_INVALID, C = VD_E_CLOSE, O = VD_E_OPEN;

/// A client in a state. Two devices; when Active the first is open, with a command fetched and
/// another queued.
struct Stage {
  Stage(Context& context, State state, bool abort_by_server)
      : write(VDC_Write, 512), flush(VDC_Flush), rig(context, 2) {
    if (state == dne) return;
    if (state == configurable) {
      rig.create();
      rig.connect();
      rig.begin();
      rig.request();
      return;
    }
    rig.configure();
    if (state == initializing) {
      name_devices();
      return;
    }
    go_active();
    if (state == nt) go_nt();
    if (state != aborted) return;
    const int result = abort_by_server ? rig.server->signal_abort() : rig.client->signal_abort();
    context.need(result, ok, "SignalAbort");
  }

  void name_devices() {
    rig.server_devices.resize(2);
    for (unsigned i = 0; i < 2; ++i)
      rig.context.need(rig.server->open_device(rig.device_name(i), rig.server_devices[i]), ok,
                       "server OpenDevice");
  }
  void go_active() {
    name_devices();
    rig.start_agent();
    rig.client_devices.resize(2);
    rig.context.need(rig.client->open_device(rig.name, rig.client_devices[0]), ok, "OpenDevice");
    write.buffer = rig.allocate(512);
    rig.send(write);
    rig.send(flush);
    held = rig.fetch();
    rig.context.need(rig.client->get_handle(held.buffer, handle), ok, "GetBufferHandle");
  }
  void go_nt() {
    Context& context = rig.context;
    context.need(rig.client_devices[0]->complete(held, 0, 512), ok, "CompleteCommand");
    context.need(rig.client_devices[0]->complete(rig.fetch(), 0), ok, "CompleteCommand");
    context.need(rig.client->open_device(rig.device_name(1), rig.client_devices[1]), ok,
                 "OpenDevice");
    rig.terminate();
  }
  ClientDevice& device() {
    return rig.client_devices.empty() ? rig.face.stray_client_device() : *rig.client_devices[0];
  }
  /// Some address: of the fetched buffer if there is one.
  const void* buffer() const {
    return held.buffer != nullptr ? static_cast<const void*>(held.buffer) : "";
  }

  Sent write, flush;
  Fetched held;
  uint32_t handle = 12345;  // Of the buffer that was fetched, if there is one.
  Rig rig;  // Last: ends first, and with it the use of the commands above.
};

/// Which state the client's object is in, as far as a call without effect can tell: Initializing
/// stands for Active and NT too.
State probe(Stage& stage) {
  VDConfig config;
  switch (stage.rig.client->get_configuration(0, config)) {
    case ok: return initializing;
    case VD_E_TIMEOUT: return configurable;
    case VD_E_ABORT: return aborted;
    default: return dne;
  }
}

int call_create(Stage& s) {
  return s.rig.client->create(s.rig.name, s.rig.wish);
}
int call_get_configuration(Stage& s) {
  // The server finishes first, so that this returns; the client's own state is still the old one.
  if (s.rig.client_devices.empty()) s.rig.server->end();
  VDConfig config;
  return s.rig.client->get_configuration(patience_ms, config);
}
int call_open_device(Stage& s) {
  ClientDevice* opened = &s.device();
  // The second device while the first is open: A1 makes that legal.
  const bool has_first = !s.rig.client_devices.empty();
  const int result = s.rig.client->open_device(s.rig.device_name(has_first ? 1 : 0), opened);
  s.rig.context.check((opened != nullptr) == (result == ok), "null exactly on failure");
  return result;
}
int call_get_command(Stage& s) {
  Fetched command;
  return s.device().get(0, command);
}
int call_complete_command(Stage& s) {
  return s.device().complete(s.held, 0, 512);
}
int call_signal_abort(Stage& s) {
  return s.rig.client->signal_abort();
}
int call_close(Stage& s) {
  return s.rig.client->close();
}
int call_open_in_secondary(Stage& s) {
  if (s.rig.server_devices.empty() && probe(s) == dne) {
    // A fresh object needs somebody else's set.
    Rig other(s.rig.context);
    other.configure();
    return s.rig.client->open_in_secondary(other.name);
  }
  return s.rig.client->open_in_secondary(s.rig.name);
}
int call_get_handle(Stage& s) {
  uint32_t handle;
  return s.rig.client->get_handle(s.buffer(), handle);
}
int call_map_handle(Stage& s) {
  uint8_t* mapped = nullptr;
  const int result = s.rig.client->map_handle(s.handle, mapped);
  if (result == ok) s.rig.context.check(mapped == s.held.buffer, "maps to the buffer");
  return result;
}

struct Row {
  const char* call;
  int (*make)(Stage&);
  int code[states];
  State after[states];
  int c_code[states];  // Through the C ABI where that differs: bindings/vdi/MAPPING.md says why.
};

constexpr int same = 1;
constexpr State keep = states;  // The state that it was.

const Row rows[] = {
    // Through the C ABI a second Create makes another object: it meets the name.
    {"Create",
     call_create,
     {ok, P, P, P, P, P},
     {configurable, keep, keep, keep, keep, keep},
     {same, same, same, same, same, same}},
    {"GetConfiguration",
     call_get_configuration,
     {P, ok, ok, ok, ok, A},
     {keep, initializing, keep, keep, keep, keep},
     {I, same, same, same, same, same}},
    {"OpenDevice",
     call_open_device,
     {P, P, ok, ok, P, A},
     {keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same}},
    // A16: CLOSE stays.
    {"GetCommand",
     call_get_command,
     {P, P, P, ok, C, A},
     {keep, keep, keep, keep, keep, keep},
     {I, I, I, same, same, same}},
    {"CompleteCommand",
     call_complete_command,
     {P, P, P, ok, P, A},
     {keep, keep, keep, keep, keep, keep},
     {I, I, I, same, I, same}},
    {"SignalAbort",
     call_signal_abort,
     {P, ok, ok, ok, ok, ok},
     {keep, aborted, aborted, aborted, aborted, aborted},
     {I, same, same, same, same, same}},
    // A2: OPEN, as the device has not delivered CLOSE.
    {"Close",
     call_close,
     {P, ok, ok, O, ok, ok},
     {dne, dne, dne, dne, dne, dne},
     {I, same, same, same, same, same}},
    // Through the C ABI it makes another object: what a fresh one is told.
    {"OpenInSecondary",
     call_open_in_secondary,
     {ok, P, P, P, P, P},
     {keep, keep, keep, keep, keep, keep},
     {same, same, ok, ok, same, A}},
    {"GetBufferHandle",
     call_get_handle,
     {P, P, I, ok, ok, ok},
     {keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same}},
    {"MapBufferHandle",
     call_map_handle,
     {P, P, I, ok, ok, ok},
     {keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same}},
};

void run_cell(Context& context, const Row& row, State state, bool abort_by_server) {
  const std::string cell = std::string(row.call) + " in " + state_names[state];
  Stage stage(context, state, abort_by_server);
  const bool c_differs = context.face.is_c() && row.c_code[state] != same;
  const int expected = c_differs ? row.c_code[state] : row.code[state];
  context.code(row.make(stage), expected, cell);
  State after = row.after[state] == keep ? state : row.after[state];
  if (after == active || after == nt) after = initializing;
  // The other set's end has ended this one by now.
  if (row.make == call_open_in_secondary && state == dne) after = aborted;
  const State found = probe(stage);
  context.check(found == after,
                cell + " leaves " + state_names[found] + ", not " + state_names[after]);
  context.cover("2.1", std::string(row.call) + "/" + state_names[state]);
}

template <std::size_t row>
void run_row(Context& context) {
  for (int state = dne; state < states; ++state)
    run_cell(context, rows[row], static_cast<State>(state), false);
  run_cell(context, rows[row], aborted, true);
}

}  // namespace

std::vector<Scenario> client_matrix_scenarios() {
  static_assert(std::size(rows) == 10);
  return {{"client matrix: Create", "2.1", run_row<0>},
          {"client matrix: GetConfiguration", "2.1", run_row<1>},
          {"client matrix: OpenDevice", "2.1", run_row<2>},
          {"client matrix: GetCommand", "2.1", run_row<3>},
          {"client matrix: CompleteCommand", "2.1", run_row<4>},
          {"client matrix: SignalAbort", "2.1", run_row<5>},
          {"client matrix: Close", "2.1", run_row<6>},
          {"client matrix: OpenInSecondary", "2.1", run_row<7>},
          {"client matrix: GetBufferHandle", "2.1", run_row<8>},
          {"client matrix: MapBufferHandle", "2.1", run_row<9>}};
}

}  // namespace conformance
