// core/region.hpp: sizes of the parts, writing the header of S, judging one that was received.
// Layer core: freestanding.
#pragma once
#include <gsl/assert>
#include <gsl/span>
#include "core/layout.hpp"
#include "core/pool_map.hpp"
#include "core/words.hpp"

namespace vdset::core {

/// What every offset follows from. A private copy; shared memory is never asked again.
struct Geometry {
  std::uint32_t device_count;
  std::uint32_t queue_depth;
  std::uint32_t page_bytes;
  std::uint32_t options;
  std::uint32_t salt;
  std::uint32_t uuid[4];

  constexpr std::uint32_t lines_offset() const {
    return static_cast<std::uint32_t>(
        align_up(rows_offset + device_count * sizeof(DeviceRow), 4096));
  }
  constexpr std::uint32_t alive_offset() const {
    return static_cast<std::uint32_t>(
        align_up(lines_offset() + device_count * queue_depth * line_bytes, alive_bytes));
  }
  constexpr std::uint32_t s_bytes() const { return alive_offset() + alive_bytes; }
  constexpr std::uint32_t c_bytes() const {
    return static_cast<std::uint32_t>(
        align_up(line_bytes + 2 * queue_depth * line_bytes, page_bytes));
  }
  constexpr std::uint32_t w_bytes() const {
    return static_cast<std::uint32_t>(align_up(wake_bytes, page_bytes));
  }
};

constexpr bool is_power_of_two(std::uint32_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

constexpr bool is_geometry_sound(const Geometry& g) {
  return g.device_count >= 1 && g.device_count <= devices_max && is_power_of_two(g.queue_depth) &&
         g.queue_depth >= queue_depth_min && g.queue_depth <= queue_depth_max &&
         is_power_of_two(g.page_bytes) && g.page_bytes >= page_bytes_min &&
         g.page_bytes <= page_bytes_limit && (g.options & ~options_known) == 0 && g.salt >= 1 &&
         g.salt <= salt_max;
}
static_assert(Geometry{64, 128, 4096, 0, 1, {}}.s_bytes() < (1u << 20));

/// The typed places of part S in one process. W const for all but the server.
template <class W, class Header, class Rows, class Lines, class Participants, class Alive>
struct ServerPartOf {
  Header* header;
  gsl::span<Participants> participants;
  gsl::span<W> slots;
  gsl::span<Rows> rows;
  Lines* lines;
  gsl::span<Alive> alive;
  std::uint32_t queue_depth;

  gsl::span<Lines> ring(std::uint32_t device) const {
    Expects(device < rows.size());
    return {lines + std::size_t{device} * queue_depth, queue_depth};
  }
};
using ServerPart =
    ServerPartOf<Word, ServerHeader, DeviceRow, SubmissionLine, ParticipantRow, AliveWord>;
using ServerPartView = ServerPartOf<const Word, const ServerHeader, const DeviceRow,
                                    const SubmissionLine, const ParticipantRow, const AliveWord>;

/// Lays the places over a mapping of exactly g.s_bytes() bytes. Byte is std::byte or const
/// std::byte.
template <class Part, class Header, class Participants, class W, class Rows, class Lines,
          class Alive, class Byte>
Part lay_out(gsl::span<Byte> s, const Geometry& g) {
  Expects(is_geometry_sound(g) && s.size() == g.s_bytes());
  Byte* const base = s.data();
  return {reinterpret_cast<Header*>(base),
          {reinterpret_cast<Participants*>(base + participants_offset), participants_max},
          {reinterpret_cast<W*>(base + slots_offset), slots_max},
          {reinterpret_cast<Rows*>(base + rows_offset), g.device_count},
          reinterpret_cast<Lines*>(base + g.lines_offset()),
          {reinterpret_cast<Alive*>(base + g.alive_offset()), participants_max},
          g.queue_depth};
}
inline ServerPart server_part(gsl::span<std::byte> s, const Geometry& g) {
  return lay_out<ServerPart, ServerHeader, ParticipantRow, Word, DeviceRow, SubmissionLine,
                 AliveWord>(s, g);
}
inline ServerPartView server_part_view(gsl::span<const std::byte> s, const Geometry& g) {
  return lay_out<ServerPartView, const ServerHeader, const ParticipantRow, const Word,
                 const DeviceRow, const SubmissionLine, const AliveWord>(s, g);
}

/// Part C: the gate, then the completion lines.
struct ClientPart {
  ClientHeader* header;
  ClientLines lines;
};
inline ClientPart client_part(gsl::span<std::byte> c, const Geometry& g) {
  Expects(c.size() == g.c_bytes());
  std::byte* const first = c.data() + line_bytes;
  return {reinterpret_cast<ClientHeader*>(c.data()),
          {{reinterpret_cast<CompletionLine*>(first), g.queue_depth},
           {reinterpret_cast<CommandLine*>(first + g.queue_depth * line_bytes), g.queue_depth}}};
}

/// Writes the constant header of a zero-filled S. The part is published by being passed to
/// somebody.
template <class A>
void write_header(A& a, ServerHeader& h, const Geometry& g) {
  Expects(is_geometry_sound(g));
  const auto put = [&a](Word& word, std::uint32_t value) {
    a.template store<Site::fields_write>(word, value);
  };
  put(h.magic[0], magic_0);
  put(h.magic[1], magic_1);
  put(h.layout_version, layout_version);
  put(h.byte_order, byte_order_mark);
  for (std::size_t i = 0; i < 4; ++i)
    put(h.uuid[i], g.uuid[i]);
  put(h.s_bytes, g.s_bytes());
  put(h.page_bytes, g.page_bytes);
  put(h.device_count, g.device_count);
  put(h.queue_depth, g.queue_depth);
  put(h.options, g.options);
  put(h.salt, g.salt);
  put(h.rows_offset, rows_offset);
  put(h.lines_offset, g.lines_offset());
  put(h.alive_offset, g.alive_offset());
}

enum class Verdict : std::uint8_t {
  sound,
  too_short,
  foreign_magic,
  foreign_byte_order,
  foreign_version,
  out_of_range,
  sizes_disagree
};

/// Judges a received S of `bytes` bytes; fills `out` with the private copy. Every word is loaded
/// once.
template <class A>
[[nodiscard]] Verdict judge_header(A& a, gsl::span<const std::byte> s, Geometry& out) {
  if (s.size() < sizeof(ServerHeader)) return Verdict::too_short;
  const auto& h = *reinterpret_cast<const ServerHeader*>(s.data());
  const auto get = [&a](const Word& word) { return a.template load<Site::fields_read>(word); };
  if (get(h.byte_order) != byte_order_mark) return Verdict::foreign_byte_order;
  if (get(h.magic[0]) != magic_0 || get(h.magic[1]) != magic_1) return Verdict::foreign_magic;
  if (get(h.layout_version) >> 16 != layout_version >> 16) return Verdict::foreign_version;
  Geometry g{get(h.device_count), get(h.queue_depth), get(h.page_bytes),
             get(h.options),      get(h.salt),        {}};
  for (std::size_t i = 0; i < 4; ++i)
    g.uuid[i] = get(h.uuid[i]);
  if (!is_geometry_sound(g)) return Verdict::out_of_range;
  if (get(h.s_bytes) != s.size() || g.s_bytes() != s.size() || get(h.rows_offset) != rows_offset ||
      get(h.lines_offset) != g.lines_offset() || get(h.alive_offset) != g.alive_offset())
    return Verdict::sizes_disagree;
  out = g;
  return Verdict::sound;
}

template <class A>
void write_pool(A& a, PoolRow& row, const PoolPlan& p) {
  a.template store<Site::fields_write>(row.first_slot, p.first_slot);
  a.template store<Site::fields_write>(row.slot_count, p.slot_count);
  a.template store<Site::fields_write>(row.stride_lines, p.stride_lines);
  a.template store<Site::fields_write>(row.data_offset, p.data_offset);
  a.template store<Site::fields_write>(row.data_bytes, p.data_bytes);
  a.template store<Site::fields_write>(row.alignment, p.alignment);
  a.template store<Site::fields_write>(row.pool_lines, p.pool_lines);
}

template <class A>
[[nodiscard]] PoolPlan read_pool(A& a, const PoolRow& row) {
  const auto get = [&a](const Word& word) { return a.template load<Site::fields_read>(word); };
  return {get(row.first_slot), get(row.slot_count), get(row.stride_lines), get(row.data_offset),
          get(row.data_bytes), get(row.alignment),  get(row.pool_lines)};
}

/// Text in a field of words, zero-filled; its length stands apart.
template <class A>
void write_text(A& a, gsl::span<Word> to, gsl::span<const char> text) {
  Expects(text.size() <= to.size() * 4);
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::uint32_t packed = 0;
    for (std::size_t j = 0; j < 4 && 4 * i + j < text.size(); ++j)
      packed |= std::uint32_t{static_cast<unsigned char>(text[4 * i + j])} << (8 * j);
    a.template store<Site::fields_write>(to[i], packed);
  }
}
template <class A>
void read_text(A& a, gsl::span<const Word> from, gsl::span<char> text) {
  Expects(text.size() <= from.size() * 4);
  std::uint32_t packed = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % 4 == 0) packed = a.template load<Site::fields_read>(from[i / 4]);
    text[i] = static_cast<char>(packed >> (8 * (i % 4)) & 255u);
  }
}

}  // namespace vdset::core
