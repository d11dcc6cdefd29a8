// tests/process/role_server.cpp: verbs of a server.
#include <chrono>
#include "tests/process/role.hpp"

namespace role {
namespace {

std::uint32_t small(const Words& w, std::size_t i) {
  return static_cast<std::uint32_t>(w.number(i));
}

thread_local bool inside_send = false;

void note_done(vdset_command* command, void* context) {
  Sent* const sent = static_cast<Sent*>(context);
  const std::lock_guard guard(objects.lock);
  objects.done.push_back({sent->id, command->completion_code, command->bytes_transferred,
                          command->out_position, inside_send});
  objects.done_changed.notify_all();
  delete sent;
}

std::string tell(const Done& d) {
  return ok("id=%u code=%d bytes=%d position=%lld immediate=%d", d.id, d.code, d.bytes,
            static_cast<long long>(d.position), d.immediate ? 1 : 0);
}

/// server-open NAME buffers_max= area_max= dir= as=
std::string open_server(const Words& w) {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.buffers_max = static_cast<std::uint32_t>(w.option_number("buffers_max"));
  options.area_bytes_max = static_cast<std::uint64_t>(w.option_number("area_max"));
  const std::string directory = w.option("dir");
  if (!directory.empty()) options.directory = directory.c_str();
  vdset_server* server = nullptr;
  const std::int32_t code = vdset_server_open(w.word(0).c_str(), &options, &server);
  if (code != VDSET_OK) return refused(code);
  keep(objects.servers, w.option("as", "server"), server);
  return ok();
}

std::string configuration(const Words& w) {
  vdset_config c{};
  c.struct_bytes = sizeof c;
  const std::int32_t code = vdset_server_get_configuration(server_of(w), &c);
  if (code != VDSET_OK) return refused(code);
  return ok("devices=%u features=0x%x prefix=%u alignment=%u block=%u depth=%u transfer=%u area=%u",
            c.device_count, c.features, c.prefix_zone_bytes, c.alignment_bytes, c.block_bytes,
            c.max_io_depth, c.max_transfer_bytes, c.buffer_area_bytes);
}

/// begin features= block= alignment= transfer=
std::string begin(const Words& w) {
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = static_cast<std::uint32_t>(w.option_number("features", 0x10000));
  base.block_bytes = static_cast<std::uint32_t>(w.option_number("block", 512));
  base.alignment_bytes = static_cast<std::uint32_t>(w.option_number("alignment"));
  base.max_transfer_bytes = static_cast<std::uint32_t>(w.option_number("transfer", 65536));
  return result(vdset_server_begin_configuration(server_of(w), &base));
}

/// request SIZE ALIGNMENT COUNT
std::string request(const Words& w) {
  return result(vdset_server_request_buffers(server_of(w), small(w, 0), small(w, 1), small(w, 2)));
}

/// query SIZE ALIGNMENT
std::string query(const Words& w) {
  std::uint32_t count = 0;
  const std::int32_t code =
      vdset_server_query_available_buffers(server_of(w), small(w, 0), small(w, 1), &count);
  return code == VDSET_OK ? ok("count=%u", count) : refused(code);
}

std::string end(const Words& w) {
  return result(vdset_server_end_configuration(server_of(w)));
}

/// name DEVICE as=
std::string name_device(const Words& w) {
  vdset_server_device* device = nullptr;
  const std::int32_t code = vdset_server_open_device(server_of(w), w.word(0).c_str(), &device);
  if (code != VDSET_OK) return refused(code);
  keep(objects.server_devices, w.option("as", w.word(0)), device);
  return ok();
}

std::string run_agent(const Words& w) {
  return result(vdset_server_run_completion_agent(server_of(w)));
}

/// next TIMEOUT: the pull form.
std::string next(const Words& w) {
  vdset_command* command = nullptr;
  const std::int32_t code = vdset_server_next_completion(server_of(w), w.number(0), &command);
  if (code != VDSET_OK) return refused(code);
  Sent* const sent = static_cast<Sent*>(command->context);
  const Done d{sent->id, command->completion_code, command->bytes_transferred,
               command->out_position, false};
  delete sent;
  return tell(d);
}

/// completion MILLISECONDS: the next command that was called back.
std::string completion(const Words& w) {
  std::unique_lock guard(objects.lock);
  const auto limit = std::chrono::milliseconds(w.number(0, 9000));
  if (!objects.done_changed.wait_for(guard, limit, [] { return !objects.done.empty(); }))
    return "error NONE no completion was called";
  const Done d = objects.done.front();
  objects.done.pop_front();
  return tell(d);
}

/// allocate SIZE ALIGNMENT
std::string allocate(const Words& w) {
  void* out = nullptr;
  const std::int32_t code =
      vdset_server_allocate_buffer(server_of(w), small(w, 0), small(w, 1), &out);
  return code == VDSET_OK ? ok("buffer=%p", out) : refused(code);
}

/// free ADDRESS SIZE
std::string free_buffer(const Words& w) {
  return result(vdset_server_free_buffer(server_of(w), address_of(w.word(0)), small(w, 1)));
}

std::string is_shared(const Words& w) {
  return ok("shared=%d", vdset_server_is_shared_buffer(server_of(w), address_of(w.word(0))));
}

/// send CODE SIZE buffer= position= device= pull=
std::string send(const Words& w) {
  auto* const sent = new Sent;
  sent->command.struct_bytes = sizeof sent->command;
  sent->command.code = small(w, 0);
  sent->command.size = static_cast<std::int32_t>(w.number(1));
  sent->command.position = w.option_number("position");
  sent->command.buffer = address_of(w.option("buffer", "0"));
  sent->command.completion = w.option_number("pull") != 0 ? nullptr : note_done;
  sent->command.context = sent;
  unsigned id;
  {
    const std::lock_guard guard(objects.lock);
    id = sent->id = objects.next_sent++;
  }
  const bool pull = sent->command.completion == nullptr;
  inside_send = true;
  const std::int32_t code = vdset_server_device_send_command(server_device_of(w), &sent->command);
  inside_send = false;
  // From here on it may be the callback's, and freed.
  if (code == VDSET_OK) return ok("id=%u", id);
  const std::string answer = refused(code);
  if (pull || code == VDSET_E_INVALID || code == VDSET_E_NOTOPEN) delete sent;
  return answer;
}

std::string outstanding(const Words& w) {
  std::uint32_t count = 0;
  const std::int32_t code = vdset_server_device_outstanding(server_device_of(w), &count);
  return code == VDSET_OK ? ok("count=%u", count) : refused(code);
}

std::string close_device(const Words& w) {
  return result(vdset_server_device_close(server_device_of(w)));
}

std::string handle(const Words& w) {
  std::uint32_t out = 0;
  const std::int32_t code =
      vdset_server_get_buffer_handle(server_of(w), address_of(w.word(0)), &out);
  return code == VDSET_OK ? ok("handle=%u", out) : refused(code);
}

std::string describe(const Words& w) {
  vdset_buffer out{};
  out.struct_bytes = sizeof out;
  const std::int32_t code = vdset_server_describe_buffer(server_of(w), address_of(w.word(0)), &out);
  return described(code, out);
}

std::string map(const Words& w) {
  void* out = nullptr;
  const std::int32_t code = vdset_server_map_buffer_handle(server_of(w), small(w, 0), &out);
  return code == VDSET_OK ? ok("buffer=%p", out) : refused(code);
}

std::string abort_server(const Words& w) {
  const std::string text = w.rest(1);
  return result(vdset_server_signal_abort(server_of(w), static_cast<std::int32_t>(w.number(0)),
                                          text.empty() ? nullptr : text.c_str()));
}

std::string reason(const Words& w) {
  vdset_abort_reason r{};
  r.struct_bytes = sizeof r;
  const std::int32_t code = vdset_server_get_abort_reason(server_of(w), &r);
  if (code != VDSET_OK) return refused(code);
  return ok("role=%u pid=%u call=%u code=%d text=%s", r.role, r.pid, r.call, r.code, r.text);
}

/// loss NUMBER
std::string loss(const Words& w) {
  vdset_loss l{};
  l.struct_bytes = sizeof l;
  const std::int32_t code =
      vdset_server_get_loss(server_of(w), static_cast<std::uint32_t>(w.number(0)), &l);
  return code == VDSET_OK ? described(l) : refused(code);
}

std::string close_server(const Words& w) {
  return result(vdset_server_close(server_of(w)));
}

}  // namespace

void add_server_verbs(Verbs& verbs) {
  verbs.insert({{"server-open", open_server},
                {"server-configuration", configuration},
                {"begin", begin},
                {"request", request},
                {"query", query},
                {"end", end},
                {"name", name_device},
                {"run-agent", run_agent},
                {"next", next},
                {"completion", completion},
                {"allocate", allocate},
                {"free", free_buffer},
                {"shared", is_shared},
                {"send", send},
                {"outstanding", outstanding},
                {"close-device", close_device},
                {"server-handle", handle},
                {"server-map", map},
                {"server-describe", describe},
                {"server-abort", abort_server},
                {"server-reason", reason},
                {"server-loss", loss},
                {"server-close", close_server}});
}

}  // namespace role
