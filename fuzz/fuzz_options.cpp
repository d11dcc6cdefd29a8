// fuzz/fuzz_options.cpp: option structs of any size and content through the C interface. Oracle:
// bytes beyond the known ones must be 0, results are codes the header names, what was accepted is
// in the ranges of the header, result structs are filled no further than their size.
#include <memory>
#include "abi/include/vdset.h"
#include "fuzz/place.hpp"

using namespace vdset;
using vdset::fuzz::Input;

namespace {

fuzz::Goal made("a set that is made");
fuzz::Goal longer("a struct longer than the known one that is accepted");
fuzz::Goal tail_refused("a struct that is refused for what lies behind the known fields");
fuzz::Goal out_of_range("a struct that is refused for its fields");
fuzz::Goal joined("a server that joins");
fuzz::Goal agreed_upon("a configuration that is agreed upon");
fuzz::Goal base_refused("a configuration that is refused");

fuzz::Place place;
const std::uint32_t uids[16] = {};

/// A struct of the size that the input says, at its own place on the heap.
template <class T>
struct Sized {
  std::uint32_t bytes;
  std::unique_ptr<std::uint8_t[]> memory;

  explicit Sized(Input& in) {
    const std::uint32_t choice = in.below(4);
    bytes = choice == 0 ? in.word() : choice == 1 ? in.byte() : std::uint32_t{sizeof(T)};
    if (choice == 3) bytes += in.byte();
    // A caller that lies about the size of its own memory is out of scope.
    const std::uint32_t held = bytes < 4 ? 4 : bytes <= 8192 ? bytes : 8192;
    memory.reset(new std::uint8_t[held]());
    const bool spread = in.flip();
    if (!spread) in.copy(memory.get(), held);
    for (std::uint32_t writes = in.below(16); spread && writes > 0; --writes) {
      const std::uint32_t at = in.byte() * 4u;
      const std::uint32_t value = in.flip() ? in.word() : in.byte();
      if (at + 4 <= held) std::memcpy(&memory[at], &value, 4);
    }
    std::memcpy(memory.get(), &bytes, sizeof bytes);
  }
  /// A pointer among the fields is the caller's own: valid or null.
  void set_pointer(std::size_t offset, const void* value) {
    if (bytes >= offset + sizeof value && bytes <= 4096)
      std::memcpy(&memory[offset], &value, sizeof value);
    else
      for (std::size_t i = offset; i < bytes && i < offset + sizeof value && bytes <= 4096; ++i)
        memory[i] = 0;
  }
  const T* get() const { return reinterpret_cast<const T*>(memory.get()); }
  T* out() const { return reinterpret_cast<T*>(memory.get()); }
  bool has_tail() const {
    for (std::uint32_t i = sizeof(T); i < bytes && bytes <= 4096; ++i)
      if (memory[i] != 0) return true;
    return false;
  }
  bool is_sized() const { return bytes >= 4 && bytes <= 4096; }
  /// The fields as the library must see them: cut or padded with zeros.
  T fields() const {
    T out{};
    if (is_sized()) std::memcpy(&out, memory.get(), bytes < sizeof(T) ? bytes : sizeof(T));
    return out;
  }
};

bool is_code(std::int32_t result) {
  return result == VDSET_OK || std::strcmp(vdset_error_name(result), "unknown") != 0;
}

/// A result struct of any size: filled within it.
void read_back(vdset_set* set, Input& in) {
  const Sized<vdset_abort_reason> reason(in);
  const Sized<vdset_config> config(in);
  VDSET_HOLDS(is_code(vdset_set_get_configuration(set, 0, config.out())));
  vdset_set_signal_abort(set, 5, "fuzz");
  const std::int32_t got = vdset_set_get_abort_reason(set, reason.out());
  VDSET_HOLDS(got == (reason.bytes >= 4 ? VDSET_OK : VDSET_E_INVALID));
}

void judge_base(vdset_server* server, const vdset_config& wish, bool read_only, Input& in) {
  const Sized<vdset_base_configuration> base(in);
  const std::int32_t result = vdset_server_begin_configuration(server, base.get());
  VDSET_HOLDS(is_code(result));
  if (!base.is_sized() || base.has_tail()) VDSET_HOLDS(result == VDSET_E_INVALID);
  (result == VDSET_OK ? agreed_upon : base_refused).reach();
  if (result != VDSET_OK) return;
  const vdset_base_configuration b = base.fields();
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  VDSET_HOLDS(vdset_server_get_configuration(server, &agreed) == VDSET_OK);
  VDSET_HOLDS(agreed.features == b.features && agreed.block_bytes == b.block_bytes);
  VDSET_HOLDS(agreed.block_bytes >= 512 && agreed.block_bytes <= 65536);
  VDSET_HOLDS(agreed.alignment_bytes >= agreed.block_bytes && agreed.alignment_bytes <= 65536);
  VDSET_HOLDS(agreed.alignment_bytes >= wish.alignment_bytes);
  VDSET_HOLDS(agreed.max_transfer_bytes % 65536 == 0 && agreed.max_transfer_bytes != 0);
  VDSET_HOLDS(agreed.max_transfer_bytes <= VDSET_TRANSFER_BYTES_MAX);
  VDSET_HOLDS(!read_only || (b.features & VDSET_FEATURE_READ_MEDIA) == 0);
}

void judge_server(const vdset_config& wish, bool read_only, Input& in) {
  Sized<vdset_join_options> join(in);
  join.set_pointer(offsetof(vdset_join_options, directory), place.path());
  const bool reaches = join.fields().directory != nullptr;
  // Without a directory it would look in those of the machine.
  if (!reaches && join.is_sized()) return;
  vdset_server* server = nullptr;
  const std::int32_t result = vdset_server_open("fuzzed", join.get(), &server);
  VDSET_HOLDS(is_code(result) && (result == VDSET_OK) == (server != nullptr));
  if (!join.is_sized() || join.has_tail()) VDSET_HOLDS(result == VDSET_E_INVALID);
  if (result != VDSET_OK) return;
  joined.reach();
  VDSET_HOLDS(join.fields().buffers_max <= VDSET_BUFFERS_MAX);
  judge_base(server, wish, read_only, in);
  vdset_server_close(server);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Sized<vdset_config> config(in);
  Sized<vdset_set_options> options(in);
  options.set_pointer(offsetof(vdset_set_options, directory), place.path());
  options.set_pointer(offsetof(vdset_set_options, allowed_uids), in.flip() ? uids : nullptr);
  const vdset_set_options o = options.fields();
  if (o.directory == nullptr && options.is_sized()) return 0;
  vdset_set* set = nullptr;
  const std::int32_t result = vdset_set_create("fuzzed", config.get(), options.get(), &set);
  VDSET_HOLDS(is_code(result) && (result == VDSET_OK) == (set != nullptr));
  const bool bad =
      !config.is_sized() || config.has_tail() || !options.is_sized() || options.has_tail();
  if (bad) VDSET_HOLDS(result == VDSET_E_INVALID || result == VDSET_E_NOTSUPPORTED);
  if (config.has_tail() && result == VDSET_E_INVALID) tail_refused.reach();
  if (!bad && result != VDSET_OK) out_of_range.reach();
  if (result != VDSET_OK) return 0;
  made.reach();
  if (config.bytes > sizeof(vdset_config)) longer.reach();
  const vdset_config wish = config.fields();
  VDSET_HOLDS(wish.device_count >= 1 && wish.device_count <= VDSET_DEVICES_MAX);
  VDSET_HOLDS(wish.prefix_zone_bytes <= VDSET_PREFIX_BYTES_MAX);
  VDSET_HOLDS(o.queue_depth == 0 || (o.queue_depth >= 8 && o.queue_depth <= 128));
  VDSET_HOLDS(o.data_read_only == 0 || wish.prefix_zone_bytes == 0);
  VDSET_HOLDS(o.allowed_uids_count <= 16);
  judge_server(wish, o.data_read_only != 0, in);
  read_back(set, in);
  VDSET_HOLDS(is_code(vdset_set_close(set)));
  return 0;
}
