// bytes.cpp: identities and checksums.
#include "bytes.hpp"

#include <fmt/core.h>
#include <sys/random.h>
#include <xxhash.h>

#include <cerrno>
#include <new>

#include "failure.hpp"

namespace cli {

Uuid random_uuid() {
  Uuid uuid;
  if (::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) != 16) {
    fail_errno(errno, "cannot get random bytes", "getrandom");
  }
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0F) | 0x40);  // RFC 4122, version 4.
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3F) | 0x80);
  return uuid;
}

std::string uuid_text(const Uuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid.bytes[i]);
  }
  return text;
}

Uuid parse_uuid(const std::string& text) {
  Uuid uuid;
  std::size_t digits_count = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_letter = c >= 'a' && c <= 'f';
    if ((!is_digit && !is_letter) || digits_count == 32) {
      fail(ExitCode::internal, "not an identity", text, "this is a bug");
    }
    const int nibble = is_digit ? c - '0' : c - 'a' + 10;
    std::uint8_t& byte = uuid.bytes[digits_count / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | nibble);
    ++digits_count;
  }
  if (digits_count != 32) fail(ExitCode::internal, "not an identity", text, "this is a bug");
  return uuid;
}

std::uint64_t checksum_of(ByteSpan bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Checksum::Checksum() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  reset();
}

Checksum::~Checksum() {
  XXH3_freeState(static_cast<XXH3_state_t*>(state_));
}

void Checksum::reset() {
  XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_));
}

void Checksum::add(ByteSpan bytes) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}

std::uint64_t Checksum::value() const {
  return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_));
}

}  // namespace cli
