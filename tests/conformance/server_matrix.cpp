// tests/conformance/server_matrix.cpp: every call of a server in every state (2.2).
#include "rig.hpp"

namespace conformance {
namespace {

enum State { dne, connected, configurable, initializing, active, nt, aborted, states };
const char* const state_names[] = {"DNE",    "Connected", "Configurable", "Initializing",
                                   "Active", "NT",        "Abort"};

constexpr int P = VD_E_PROTOCOL, A = VD_E_ABORT, I = VD_E_INVALID, C = VD_E_CLOSE;

/// How the Abort column comes about.
enum class Abort { by_client, by_server, before_configuration };

/// A server in a state: one device, open when Active; one buffer allocated from then on.
struct Stage {
  Stage(Context& context, State state, Abort abort) : read(VDC_Flush), rig(context) {
    rig.create();
    if (state == dne) return;
    rig.connect();
    if (state == connected) return;
    if (state == aborted && abort == Abort::before_configuration) {
      signal(abort);
      return;
    }
    rig.begin();
    rig.request();
    if (state == configurable) return;
    rig.finish();
    rig.get_configuration();
    if (state == initializing) return;
    buffer = rig.allocate(512);
    rig.open_devices();
    if (state == active) return;
    if (state == nt) {
      rig.start_agent();
      rig.terminate();
    } else {
      signal(abort);
    }
  }
  void signal(Abort abort) {
    const int result =
        abort == Abort::by_server ? rig.server->signal_abort() : rig.client->signal_abort();
    rig.context.need(result, ok, "SignalAbort");
    // The client's comes by message when there are no parts yet.
    VDConfig config;
    while (rig.server->get_configuration(config) != VD_E_ABORT)
      std::this_thread::yield();
  }
  ServerDevice& device() {
    return rig.server_devices.empty() ? rig.face.stray_server_device() : *rig.server_devices[0];
  }

  Sent read;
  uint8_t* buffer = nullptr;
  Rig rig;
};

/// The state of the server's object; Initializing stands for Active too, which no call tells apart.
State probe(Stage& stage) {
  VDConfig config;
  const int seen = stage.rig.server->get_configuration(config);
  if (seen == VD_E_ABORT) return aborted;
  if (seen != ok) return dne;
  uint32_t count;
  const bool can_request = stage.rig.server->query(512, 0, count) == ok;
  uint8_t nowhere;
  const int freed = stage.rig.server->free(&nowhere, 1);
  bool has_buffers = freed == VD_E_INVALID;
  if (freed == cannot) {  // Other calls that leave no trace, where none frees what is no buffer.
    uint8_t* some = nullptr;
    has_buffers = can_request ? stage.rig.server->allocate(some, 512) == ok
                              : stage.rig.server->run_agent() == ok;
    if (some != nullptr) stage.rig.server->free(some, 512);
  }
  if (can_request) return has_buffers ? initializing : configurable;
  return has_buffers ? nt : connected;
}

int call_open(Stage& s) {
  return s.rig.server->open(s.rig.name);
}
int call_get_configuration(Stage& s) {
  VDConfig config;
  return s.rig.server->get_configuration(config);
}
int call_begin(Stage& s) {
  return s.rig.server->begin(VDF_WriteMedia, 512, 0, 65536);
}
int call_request(Stage& s) {
  return s.rig.server->request(65536, 0, 1);
}
int call_query(Stage& s) {
  uint32_t count = 0;
  const int result = s.rig.server->query(65536, 0, count);
  if (result == ok) s.rig.context.check(count > 0, "some buffers can be had");
  return result;
}
int call_end(Stage& s) {
  return s.rig.server->end();
}
int call_open_device(Stage& s) {
  ServerDevice* opened = nullptr;
  const int result = s.rig.server->open_device(s.rig.name, opened);
  s.rig.context.check((opened != nullptr) == (result == ok), "a device exactly on success");
  return result;
}
/// Where the agent runs it is brought to its normal end, after a second one was refused.
int call_agent(Stage& s) {
  const State state = probe(s);
  if (state != initializing) return s.rig.server->run_agent();
  s.rig.start_agent();
  if (s.rig.server_devices.empty()) s.rig.open_devices();
  Sent flush(VDC_Flush);
  s.rig.exchange(flush);  // The first agent is at work.
  s.rig.context.code(s.rig.server->run_agent(), VD_E_BUSY, "a second agent");
  s.rig.terminate();
  return s.rig.agent_result;
}
int call_allocate(Stage& s) {
  uint8_t* buffer = nullptr;
  return s.rig.server->allocate(buffer, 512);
}
int call_free(Stage& s) {
  if (s.buffer == nullptr && probe(s) == initializing) s.buffer = s.rig.allocate(512);
  uint8_t nowhere;
  return s.rig.server->free(s.buffer != nullptr ? s.buffer : &nowhere, 512);
}
int call_send(Stage& s) {
  const int result = s.device().send(s.read);
  const int mapped = result == ok ? -1 : result == A ? 995 : 6;
  if (!s.rig.face.is_c() || !s.rig.server_devices.empty())
    s.rig.context.equal(s.read.completion, mapped, "the completion code of the sender's callback");
  return result;
}
int call_close_device(Stage& s) {
  return s.device().close();
}
int call_signal_abort(Stage& s) {
  return s.rig.server->signal_abort();
}
int call_close(Stage& s) {
  return s.rig.server->close();
}

struct Row {
  const char* call;
  int (*make)(Stage&);
  int code[states];
  State after[states];
  int c_code[states];
};

constexpr int same = 1;
constexpr State keep = states;

const Row rows[] = {
    // Through the C ABI a second Open makes another object: the set tells it what is the matter.
    {"Open",
     call_open,
     {ok, P, P, P, P, P, P},
     {connected, keep, keep, keep, keep, keep, keep},
     {same, same, same, same, same, same, A}},
    {"GetConfiguration",
     call_get_configuration,
     {P, ok, ok, ok, ok, ok, A},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    // Through the C ABI an aborted set says ABORT (A3's reading, for all of them).
    {"BeginConfiguration",
     call_begin,
     {P, ok, P, P, P, P, P},
     {keep, configurable, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, A}},
    {"RequestBuffers",
     call_request,
     {P, P, ok, ok, ok, P, A},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    {"QueryAvailableBuffers",
     call_query,
     {P, P, ok, ok, ok, P, P},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, A}},
    {"EndConfiguration",
     call_end,
     {P, P, ok, P, P, P, A},
     {keep, keep, initializing, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    {"OpenDevice",
     call_open_device,
     {P, P, P, ok, VD_E_OPEN, P, A},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    // Through the C ABI an agent may start after the end: it has nothing to do.
    {"ExecuteCompletionAgent",
     call_agent,
     {P, P, P, ok, ok, P, A},
     {keep, keep, keep, nt, nt, keep, keep},
     {I, same, same, same, same, ok, same}},
    {"AllocateBuffer",
     call_allocate,
     {P, P, P, ok, ok, P, A},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    {"FreeBuffer",
     call_free,
     {P, P, P, ok, ok, ok, ok},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, same, same, same, same, same, same}},
    // No device exists before Active: a default-constructed one, a null pointer.
    {"SendCommand",
     call_send,
     {P, P, P, P, ok, P, A},
     {keep, keep, keep, keep, keep, keep, keep},
     {I, I, I, I, same, same, same}},
    {"CloseDevice",
     call_close_device,
     {P, P, P, P, ok, C, A},
     {keep, keep, keep, keep, nt, keep, keep},
     {I, I, I, I, same, same, same}},
    {"SignalAbort",
     call_signal_abort,
     {P, ok, ok, ok, ok, ok, ok},
     {keep, aborted, aborted, aborted, aborted, aborted, aborted},
     {I, same, same, same, same, same, same}},
    {"Close",
     call_close,
     {P, ok, ok, ok, P, ok, ok},
     {dne, dne, dne, dne, dne, dne, dne},
     {I, same, same, same, same, same, same}},
};

void run_cell(Context& context, const Row& row, State state, Abort abort) {
  std::string cell = std::string(row.call) + " in " + state_names[state];
  if (abort == Abort::before_configuration) cell += " before BeginConfiguration";
  Stage stage(context, state, abort);
  const bool c_differs = context.face.is_c() && row.c_code[state] != same;
  int expected = c_differs ? row.c_code[state] : row.code[state];
  if (abort == Abort::before_configuration) {
    if (row.make == call_free) expected = I;  // There are no buffers.
    if (row.make == call_send || row.make == call_close_device)
      expected = context.face.is_c() ? I : P;  // Nor devices.
  }
  context.code(row.make(stage), expected, cell);
  State after = row.after[state] == keep ? state : row.after[state];
  if (after == active) after = initializing;
  const State found = probe(stage);
  context.check(found == after,
                cell + " leaves " + state_names[found] + ", not " + state_names[after]);
  context.cover("2.2", std::string(row.call) + "/" + state_names[state]);
}

template <std::size_t row>
void run_row(Context& context) {
  for (int state = dne; state < states; ++state)
    run_cell(context, rows[row], static_cast<State>(state), Abort::by_client);
  run_cell(context, rows[row], aborted, Abort::by_server);
  run_cell(context, rows[row], aborted, Abort::before_configuration);
}

}  // namespace

std::vector<Scenario> server_matrix_scenarios() {
  static_assert(std::size(rows) == 14);
  return {{"server matrix: Open", "2.2", run_row<0>},
          {"server matrix: GetConfiguration", "2.2", run_row<1>},
          {"server matrix: BeginConfiguration", "2.2", run_row<2>},
          {"server matrix: RequestBuffers", "2.2", run_row<3>},
          {"server matrix: QueryAvailableBuffers", "2.2", run_row<4>},
          {"server matrix: EndConfiguration", "2.2", run_row<5>},
          {"server matrix: OpenDevice", "2.2", run_row<6>},
          {"server matrix: ExecuteCompletionAgent", "2.2", run_row<7>},
          {"server matrix: AllocateBuffer", "2.2", run_row<8>},
          {"server matrix: FreeBuffer", "2.2", run_row<9>},
          {"server matrix: SendCommand", "2.2", run_row<10>},
          {"server matrix: CloseDevice", "2.2", run_row<11>},
          {"server matrix: SignalAbort", "2.2", run_row<12>},
          {"server matrix: Close", "2.2", run_row<13>}};
}

}  // namespace conformance
