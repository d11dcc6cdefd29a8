// engine_set.cpp: the server role that backup and restore share.
#include "engine_set.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace cli {

std::string device_name(const std::string& set_name, std::uint32_t device_index) {
  return device_index == 0 ? set_name : fmt::format("{}.{}", set_name, device_index);
}

EngineOptions EngineOptions::from(const Arguments& arguments) {
  EngineOptions options;
  options.set_name = arguments.text("set");
  options.backup = parse_uuid(arguments.text("backup"));
  options.devices_count = arguments.number_32("devices");
  options.block_bytes = arguments.number_32("block");
  options.max_transfer_bytes = arguments.number_32("transfer");
  options.buffers_count = arguments.number_32("buffers");
  return options;
}

void EngineOptions::put(Arguments& arguments) const {
  arguments.set("set", set_name).set("backup", uuid_text(backup)).set("devices", devices_count);
  arguments.set("block", block_bytes).set("transfer", max_transfer_bytes);
  arguments.set("buffers", buffers_count);
}

EngineSet::EngineSet(const EngineOptions& options, std::uint32_t media_feature)
    : options_(options), server_(options.server) {
  if (server_ == nullptr) {
    vdset_join_options join = {};
    join.struct_bytes = sizeof join;
    const std::int32_t result = vdset_server_open(options_.set_name.c_str(), &join, &server_);
    if (result != VDSET_OK) fail_in_child(result, "cannot open the set", options_.set_name);
  }
  try {
    configure(media_feature);
    make_slots();
    open_devices();
  } catch (...) {
    if (options_.server == nullptr) vdset_server_close(server_);
    throw;
  }
}

EngineSet::~EngineSet() {
  if (agent_.joinable()) {
    // Only after a failure; the abort makes the agent return.
    vdset_server_signal_abort(server_, 0, "the engine gave up");
    agent_.join();
  }
  if (options_.server == nullptr) vdset_server_close(server_);
}

std::string EngineSet::name_of(std::uint32_t device_index) const {
  if (!options_.device_names.empty()) return options_.device_names[device_index];
  return device_name(options_.set_name, device_index);
}

void EngineSet::open_devices() {
  for (std::uint32_t i = 0; i < options_.devices_count; ++i) {
    vdset_server_device* device = nullptr;
    const std::int32_t result = vdset_server_open_device(server_, name_of(i).c_str(), &device);
    if (result != VDSET_OK) fail_vdset(result, "cannot open the device", name_of(i));
    devices_.push_back(device);
  }
}

void EngineSet::configure(std::uint32_t media_feature) {
  vdset_config wish = {};
  wish.struct_bytes = sizeof wish;
  std::int32_t result = vdset_server_get_configuration(server_, &wish);
  if (result != VDSET_OK)
    fail_vdset(result, "cannot read the set's configuration", options_.set_name);
  if (wish.device_count != options_.devices_count) {
    const std::string text =
        fmt::format("{} devices instead of {}", wish.device_count, options_.devices_count);
    vdset_server_signal_abort(server_, VDSET_E_NOTSUPPORTED, text.c_str());
    fail(ExitCode::internal, text, options_.set_name, "this is a bug");
  }
  vdset_base_configuration base = {};
  base.struct_bytes = sizeof base;
  base.features = wish.features | media_feature;
  features_ = wish.features;
  sends_complete_ = options_.offers_complete &&
                    (wish.features & VDSET_FEATURE_REQUEST_COMPLETE) != 0 &&
                    media_feature == VDSET_FEATURE_WRITE_MEDIA;
  if (sends_complete_) base.features |= VDSET_FEATURE_COMPLETE_ENABLED;
  base.block_bytes = options_.block_bytes;
  base.max_transfer_bytes = options_.max_transfer_bytes;
  result = vdset_server_begin_configuration(server_, &base);
  if (result != VDSET_OK) fail_vdset(result, "cannot configure the set", options_.set_name);
  get_buffers();
}

void EngineSet::get_buffers() {
  std::uint32_t& count = options_.buffers_count;
  for (;;) {
    std::int32_t result =
        vdset_server_request_buffers(server_, options_.max_transfer_bytes, 0, count);
    if (result == VDSET_OK) result = vdset_server_end_configuration(server_);
    if (result == VDSET_OK) return;
    const bool may_shrink = options_.buffers_min != 0 && count > options_.buffers_min;
    if (result != VDSET_E_MEMORY || !may_shrink) {
      fail_vdset(result, "cannot get the buffers",
                 fmt::format("{} buffers of {} bytes", count, options_.max_transfer_bytes));
    }
    count = std::max(count / 2, options_.buffers_min);
  }
}

void EngineSet::make_slots() {
  slots_.resize(options_.buffers_count);
  for (Slot& slot : slots_) {
    void* buffer = nullptr;
    const std::int32_t result =
        vdset_server_allocate_buffer(server_, options_.max_transfer_bytes, 0, &buffer);
    if (result != VDSET_OK) fail_vdset(result, "cannot allocate a buffer", options_.set_name);
    slot.buffer = static_cast<std::uint8_t*>(buffer);
  }
}

void EngineSet::start(OnCompletion on_completion, OnStop on_stop) {
  on_completion_ = std::move(on_completion);
  on_stop_ = std::move(on_stop);
  agent_ = std::thread([this] { run_agent(); });
}

void EngineSet::run_agent() {
  const std::int32_t result = vdset_server_run_completion_agent(server_);
  if (result == VDSET_OK) return;
  vdset_abort_reason reason = {};
  reason.struct_bytes = sizeof reason;
  std::string text = "no reason given";
  if (vdset_server_get_abort_reason(server_, &reason) == VDSET_OK) {
    text = fmt::format("pid {}: {}", reason.pid, reason.text);
  }
  stop(Failure(ExitCode::aborted,
               fmt::format("the set was aborted: {}; {}", options_.set_name, text),
               Cause::consequence));
}

bool EngineSet::send(Slot& slot, std::uint32_t device_index, std::uint32_t code,
                     std::uint32_t size_bytes, std::uint64_t position) {
  slot.device_index = device_index;
  slot.is_done = false;
  slot.command = {};
  slot.command.struct_bytes = sizeof slot.command;
  slot.command.code = code;
  slot.command.size = static_cast<std::int32_t>(size_bytes);
  if ((features_ & VDSET_FEATURE_RANDOM_ACCESS) != 0) {
    slot.command.position = static_cast<std::int64_t>(position);
  }
  slot.command.buffer = size_bytes > 0 ? slot.buffer : nullptr;
  slot.command.completion = &EngineSet::complete;
  slot.command.context = this;
  commands_count_.fetch_add(1);
  const std::int32_t result =
      vdset_server_device_send_command(devices_[device_index], &slot.command);
  if (result == VDSET_OK) return true;
  if (result == VDSET_E_INVALID) {
    // The library did not take the command, so nobody else calls the completion.
    slot.command.completion_code = VDSET_ERROR_INVALID_HANDLE;
    complete(&slot.command, this);
    stop(Failure(ExitCode::internal, fmt::format("cannot send command {}: device {}; {}", code,
                                                 device_index, vdset_last_error())));
  }
  return false;
}

void EngineSet::complete(vdset_command* command, void* context) {
  // A slot begins with its command.
  static_cast<EngineSet*>(context)->on_completion_(*reinterpret_cast<Slot*>(command));
}

void EngineSet::close_device(std::uint32_t device_index) {
  const std::int32_t result = vdset_server_device_close(devices_[device_index]);
  if (result != VDSET_OK) {
    fail_vdset(result, "cannot close the device", name_of(device_index));
  }
}

/// True for the first of all.
bool EngineSet::record(const Failure& failure) {
  const std::lock_guard lock(failure_mutex_);
  const bool is_first = !failure_;
  if (is_first || failure.cause() < failure_->cause()) failure_ = failure;
  return is_first;
}

void EngineSet::stop(const Failure& failure) {
  const bool is_first = record(failure);
  stopped_.store(true);
  // In order, an abort may still have to follow what a bad answer began.
  if (is_first || options_.closes_in_order)
    vdset_server_signal_abort(server_, static_cast<int>(failure.code()), failure.what());
  if (on_stop_) on_stop_();
}

void EngineSet::stop_after_answer(const Slot& slot, const Failure& failure) {
  if (options_.on_bad_answer) options_.on_bad_answer(slot);
  if (!options_.closes_in_order) {
    stop(failure);
    return;
  }
  record(failure);
  stopped_.store(true);
  if (on_stop_) on_stop_();
}

void EngineSet::finish() {
  // Devices of a set that was wound up in order are still open; after an abort this does nothing.
  for (vdset_server_device* device : devices_) {
    if (is_stopped()) vdset_server_device_close(device);
  }
  if (agent_.joinable()) agent_.join();
  const std::lock_guard lock(failure_mutex_);
  if (failure_) throw *failure_;
}

}  // namespace cli
