// bytes.hpp: little-endian fields of the stored formats, the 16-byte identity of a backup, and the
// checksum. Stored files use these only, so they mean the same on every machine.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace cli {

using ByteSpan = std::span<const std::uint8_t>;
using MutableByteSpan = std::span<std::uint8_t>;

inline void put_u32(std::uint8_t* at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}
inline void put_u64(std::uint8_t* at, std::uint64_t value) {
  for (int i = 0; i < 8; ++i)
    at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}
inline std::uint32_t get_u32(const std::uint8_t* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i)
    value |= static_cast<std::uint32_t>(at[i]) << (8 * i);
  return value;
}
inline std::uint64_t get_u64(const std::uint8_t* at) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i)
    value |= static_cast<std::uint64_t>(at[i]) << (8 * i);
  return value;
}

/// Names one backup. All zero means none.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const Uuid&) const = default;
};

Uuid random_uuid();
std::string uuid_text(const Uuid& uuid);
/// Reads what uuid_text wrote; throws Failure on anything else.
Uuid parse_uuid(const std::string& text);

/// XXH3, 64 bits, seed 0: the only checksum of the stored formats.
std::uint64_t checksum_of(ByteSpan bytes);

/// The same over pieces.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;
  void reset();
  void add(ByteSpan bytes);
  std::uint64_t value() const;

 private:
  void* state_;
};

constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace cli
