// json.cpp: quoting; paths may hold any bytes, JSON may not.
#include "json.hpp"

#include <fmt/core.h>

namespace cli {

namespace {

/// Length of the UTF-8 sequence at the start of `text`, 0 if there is none that is valid.
std::size_t sequence_bytes(std::string_view text) {
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte_at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte_at(1) < 0xA0) return 0;  // Overlong.
  if (lead == 0xED && byte_at(1) > 0x9F) return 0;  // Surrogates.
  if (lead == 0xF0 && byte_at(1) < 0x90) return 0;  // Overlong.
  if (lead == 0xF4 && byte_at(1) > 0x8F) return 0;  // Beyond U+10FFFF.
  return length;
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = sequence_bytes(text);
    const char c = text.front();
    if (length == 0) {
      out += "\\ufffd";
    } else if (length == 1 && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else if (length == 1 && static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out + "\"";
}

JsonObject& JsonObject::add(std::string_view key, double value) {
  return add_raw(key, fmt::format("{:.6f}", value));
}

JsonObject& JsonObject::add_raw(std::string_view key, std::string_view json) {
  if (!members_.empty()) members_ += ',';
  members_ += json_quote(key);
  members_ += ':';
  members_ += json;
  return *this;
}

void JsonArray::add_raw(std::string_view json) {
  if (!elements_.empty()) elements_ += ',';
  elements_ += json;
}

}  // namespace cli
