// tests/process/role_client.cpp: verbs of primary and secondary clients.
#include <cstdlib>
#include <cstring>
#include "tests/process/role.hpp"

namespace role {
namespace {

std::uint32_t small(const Words& w, const char* key, std::uint32_t otherwise = 0) {
  return static_cast<std::uint32_t>(w.option_number(key, otherwise));
}

/// create NAME devices= features= prefix= alignment= soft= eom= timeout_ms= lifetime= hand_over=
/// depth= read_only= gid= uids= dir= as=
std::string create(const Words& w) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = small(w, "devices", 1);
  config.features = small(w, "features");
  config.prefix_zone_bytes = small(w, "prefix");
  config.alignment_bytes = small(w, "alignment");
  config.soft_file_mark_block_bytes = small(w, "soft");
  config.eom_warning_bytes = small(w, "eom");
  config.server_timeout_ms = small(w, "timeout_ms");
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.handle_lifetime = small(w, "lifetime");
  options.on_secondary_death = small(w, "hand_over");
  options.queue_depth = small(w, "depth");
  options.data_read_only = small(w, "read_only");
  options.allowed_gid_set = w.option("gid").empty() ? 0 : 1;
  options.allowed_gid = small(w, "gid");
  std::vector<std::uint32_t> uids;
  for (const std::string& uid : w.list("uids"))
    uids.push_back(static_cast<std::uint32_t>(std::stoul(uid)));
  options.allowed_uids_count = static_cast<std::uint32_t>(uids.size());
  options.allowed_uids = uids.data();
  const std::string directory = w.option("dir");
  if (!directory.empty()) options.directory = directory.c_str();
  vdset_set* set = nullptr;
  const std::int32_t code = vdset_set_create(w.word(0).c_str(), &config, &options, &set);
  if (code != VDSET_OK) return refused(code);
  keep(objects.sets, w.option("as", "set"), set);
  return ok();
}

/// join NAME dir= as=
std::string join(const Words& w) {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  const std::string directory = w.option("dir");
  if (!directory.empty()) options.directory = directory.c_str();
  vdset_set* set = nullptr;
  const std::int32_t code = vdset_set_open_in_secondary(w.word(0).c_str(), &options, &set);
  if (code != VDSET_OK) return refused(code);
  keep(objects.sets, w.option("as", "set"), set);
  return ok();
}

/// configuration TIMEOUT set=
std::string configuration(const Words& w) {
  vdset_config c{};
  c.struct_bytes = sizeof c;
  const std::int32_t code = vdset_set_get_configuration(set_of(w), w.number(0), &c);
  if (code != VDSET_OK) return refused(code);
  return ok("devices=%u features=0x%x prefix=%u alignment=%u block=%u depth=%u transfer=%u area=%u",
            c.device_count, c.features, c.prefix_zone_bytes, c.alignment_bytes, c.block_bytes,
            c.max_io_depth, c.max_transfer_bytes, c.buffer_area_bytes);
}

/// open NAME set= as=
std::string open_device(const Words& w) {
  vdset_device* device = nullptr;
  const std::int32_t code = vdset_set_open_device(set_of(w), w.word(0).c_str(), &device);
  if (code != VDSET_OK) return device == nullptr ? refused(code) : mistake("a device on failure");
  keep(objects.devices, w.option("as", w.word(0)), device);
  return ok();
}

/// get TIMEOUT device=
std::string get(const Words& w) {
  vdset_device* const device = device_of(w);
  const vdset_command* command = nullptr;
  const std::int32_t code = vdset_device_get_command(device, w.number(0), &command);
  if (code != VDSET_OK) return refused(code);
  unsigned id;
  {
    const std::lock_guard guard(objects.lock);
    id = objects.next_fetched++;
    objects.fetched[id] = {device, command};
  }
  return ok("id=%u code=%u size=%d flags=%u position=%lld buffer=%p handle=%u", id, command->code,
            command->size, command->flags, static_cast<long long>(command->position),
            command->buffer, command->buffer_handle);
}

/// complete ID CODE BYTES POSITION device=
std::string complete(const Words& w) {
  Fetched fetched{};
  {
    const std::lock_guard guard(objects.lock);
    fetched = objects.fetched[static_cast<unsigned>(w.number(0))];
  }
  vdset_device* const device = w.option("device").empty() ? fetched.device : device_of(w);
  return result(
      vdset_device_complete_command(device, fetched.command, static_cast<std::int32_t>(w.number(1)),
                                    static_cast<std::uint32_t>(w.number(2)), w.number(3)));
}

std::string interrupt(const Words& w) {
  return result(vdset_device_interrupt(device_of(w)));
}

/// handle ADDRESS set=
std::string handle(const Words& w) {
  std::uint32_t out = 0;
  const std::int32_t code = vdset_set_get_buffer_handle(set_of(w), address_of(w.word(0)), &out);
  return code == VDSET_OK ? ok("handle=%u", out) : refused(code);
}

/// describe ADDRESS set=
std::string describe(const Words& w) {
  vdset_buffer out{};
  out.struct_bytes = sizeof out;
  const std::int32_t code = vdset_set_describe_buffer(set_of(w), address_of(w.word(0)), &out);
  return described(code, out);
}

/// map HANDLE set=
std::string map(const Words& w) {
  void* out = nullptr;
  const auto handle_given = static_cast<std::uint32_t>(w.number(0));
  const std::int32_t code = vdset_set_map_buffer_handle(set_of(w), handle_given, &out);
  return code == VDSET_OK ? ok("buffer=%p", out) : refused(code);
}

/// explain HANDLE set=
std::string explain(const Words& w) {
  char text[200];
  const auto handle_given = static_cast<std::uint32_t>(w.number(0));
  const std::int32_t code = vdset_set_explain_handle(set_of(w), handle_given, text, sizeof text);
  return ok("result=%s text=%s", vdset_error_name(code), text);
}

/// abort CODE TEXT... set=
std::string abort_set(const Words& w) {
  const std::string text = w.rest(1);
  return result(vdset_set_signal_abort(set_of(w), static_cast<std::int32_t>(w.number(0)),
                                       text.empty() ? nullptr : text.c_str()));
}

std::string reason(const Words& w) {
  vdset_abort_reason r{};
  r.struct_bytes = sizeof r;
  const std::int32_t code = vdset_set_get_abort_reason(set_of(w), &r);
  if (code != VDSET_OK) return refused(code);
  return ok("role=%u pid=%u call=%u code=%d text=%s", r.role, r.pid, r.call, r.code, r.text);
}

/// loss NUMBER
std::string loss(const Words& w) {
  vdset_loss l{};
  l.struct_bytes = sizeof l;
  const std::int32_t code =
      vdset_set_get_loss(set_of(w), static_cast<std::uint32_t>(w.number(0)), &l);
  return code == VDSET_OK ? described(l) : refused(code);
}

/// The last that this process does.
std::string close_and_end(const Words& w) {
  vdset_set_close(set_of(w));
  _exit(0);
}

std::string close_set(const Words& w) {
  return result(vdset_set_close(set_of(w)));
}

}  // namespace

void add_client_verbs(Verbs& verbs) {
  verbs.insert({{"create", create},
                {"join", join},
                {"configuration", configuration},
                {"open", open_device},
                {"get", get},
                {"complete", complete},
                {"interrupt", interrupt},
                {"handle", handle},
                {"describe", describe},
                {"map", map},
                {"explain", explain},
                {"abort", abort_set},
                {"reason", reason},
                {"loss", loss},
                {"close-and-end", close_and_end},
                {"close", close_set}});
}

}  // namespace role
