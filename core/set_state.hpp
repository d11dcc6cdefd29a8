// core/set_state.hpp: the words of the whole set: state, agreed configuration, pools, devices,
// participants, abort.
// Layer core: freestanding. The server writes (under its state lock), everybody reads.
#pragma once
#include "core/region.hpp"

namespace vdset::core {

/// Who ended the set and why; text not terminated.
struct AbortRecord {
  std::uint32_t role;
  std::uint32_t pid;
  std::uint32_t call;
  std::uint32_t code;
  std::uint32_t text_bytes;
  char text[reason_text_bytes_max];
};

template <class A>
class SetWords {
 public:
  SetWords() = default;
  explicit SetWords(ServerHeader& header) : header_(&header) {}

  /// Edge state_published: configuration and index_bits are visible from INITIALIZING on. ABORTED
  /// absorbs.
  void publish_state(A& a, SetState state) {
    if (state_ == SetState::aborted) return;
    state_ = state;
    a.template store<Site::state_publish>(header_->set_state, static_cast<std::uint32_t>(state));
  }
  SetState state() const { return state_; }

  void write_configuration(A& a, const Configuration& c, std::uint32_t index_bits) {
    const std::uint32_t fields[configuration_fields] = {c.device_count,
                                                        c.features,
                                                        c.prefix_zone_bytes,
                                                        c.alignment_bytes,
                                                        c.soft_file_mark_block_bytes,
                                                        c.eom_warning_bytes,
                                                        c.server_timeout_ms,
                                                        c.block_bytes,
                                                        c.max_io_depth,
                                                        c.max_transfer_bytes,
                                                        c.buffer_area_bytes};
    for (std::size_t i = 0; i < configuration_fields; ++i)
      a.template store<Site::fields_write>(header_->configuration[i], fields[i]);
    a.template store<Site::fields_write>(header_->index_bits, index_bits);
  }

  /// Edge pool_published: the row is visible with the count.
  void publish_pool(A& a, std::uint32_t pool, const PoolPlan& plan) {
    Expects(pool < pools_max);
    write_pool(a, header_->pools[pool], plan);
    a.template store<Site::pool_publish>(header_->pool_count, pool + 1);
  }

  /// First record wins. Edge abort_recorded: its fields are visible with the word.
  void record_abort(A& a, const AbortRecord& r) {
    if (recorded_) return;
    recorded_ = true;
    a.template store<Site::fields_write>(header_->abort_role, r.role);
    a.template store<Site::fields_write>(header_->abort_pid, r.pid);
    a.template store<Site::fields_write>(header_->abort_call, r.call);
    a.template store<Site::fields_write>(header_->abort_code, r.code);
    a.template store<Site::fields_write>(header_->abort_text_bytes, r.text_bytes);
    write_text(a, header_->abort_text, gsl::span<const char>(r.text, r.text_bytes));
    a.template store<Site::record_publish>(header_->abort_record, 1);
  }

 private:
  ServerHeader* header_ = nullptr;
  SetState state_ = SetState::none;
  bool recorded_ = false;
};

/// Edge device_published: the name is visible with NAMED, every submission with CLOSED.
template <class A>
void publish_device(A& a, DeviceRow& row, const DeviceWord& word) {
  a.template store<Site::device_publish>(row.device, word.pack());
}

template <class A>
void publish_participant(A& a, ParticipantRow& row, const ParticipantWord& word,
                         std::uint32_t pid) {
  a.template store<Site::fields_write>(row.pid, pid);
  a.template store<Site::participant_publish>(row.participant, word.pack());
}

// ---- Readers

template <class A>
[[nodiscard]] SetState read_state(A& a, const ServerHeader& h) {
  return static_cast<SetState>(a.template load<Site::state_read>(h.set_state));
}

/// The agreed configuration and index_bits, once the state is INITIALIZING or later. False: a value
/// that cannot be.
template <class A>
[[nodiscard]] bool read_configuration(A& a, const ServerHeader& h, Configuration& out,
                                      std::uint32_t& index_bits) {
  std::uint32_t f[configuration_fields];
  for (std::size_t i = 0; i < configuration_fields; ++i)
    f[i] = a.template load<Site::fields_read>(h.configuration[i]);
  const std::uint32_t bits = a.template load<Site::fields_read>(h.index_bits);
  if (bits < index_bits_min || bits > index_bits_max || f[2] > prefix_bytes_max) return false;
  out = {f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10]};
  index_bits = bits;
  return true;
}

/// Participant row for people: role and pid of an index; {nobody, 0} when it never was.
struct ParticipantIdentity {
  Role role;
  std::uint32_t pid;
};
template <class A>
[[nodiscard]] ParticipantIdentity read_participant(A& a, const ParticipantRow& row) {
  const auto word =
      ParticipantWord::unpack(a.template load<Site::participant_read>(row.participant));
  const std::uint32_t pid = a.template load<Site::fields_read>(row.pid);
  const bool known = word.participant >= 1 && word.participant <= 3;
  return {known ? static_cast<Role>(word.participant) : Role::none, pid};
}

template <class A>
[[nodiscard]] bool read_abort(A& a, const ServerHeader& h, AbortRecord& out) {
  if (a.template load<Site::record_read>(h.abort_record) == 0) return false;
  const auto get = [&a](const Word& word) { return a.template load<Site::fields_read>(word); };
  out = {get(h.abort_role), get(h.abort_pid),        get(h.abort_call),
         get(h.abort_code), get(h.abort_text_bytes), {}};
  if (out.text_bytes > reason_text_bytes_max) out.text_bytes = reason_text_bytes_max;
  read_text(a, h.abort_text, gsl::span<char>(out.text, out.text_bytes));
  return true;
}

/// Asks for the abort of the set. True: this call was the first. Any value but 0 means aborted.
template <class A>
bool request_abort(A& a, WakeWords& w, std::uint32_t reason, std::uint32_t participant) {
  std::uint32_t expected = 0;
  return a.template compare_exchange<Site::abort_request>(
      w.abort.event, expected, AbortWord{true, reason, participant}.pack());
}
template <class A>
[[nodiscard]] std::uint32_t abort_requested(A& a, const WakeWords& w) {
  return a.template load<Site::abort_read>(w.abort.event);
}

}  // namespace vdset::core
