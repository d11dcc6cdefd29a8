// description.cpp: writing and reading the lines.
#include "description.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstring>
#include <map>

#include "cli/stream.hpp"

namespace sqlcmd {

namespace {

constexpr std::string_view first_line = "vdset backup set 1\n";

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char c : text.substr(0, described_text_bytes_max)) {
    const auto byte = static_cast<unsigned char>(c);
    escaped += byte < 0x20 || c == '%' ? fmt::format("%{:02X}", byte) : std::string(1, c);
  }
  return escaped;
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      plain += static_cast<char>(byte);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

class Lines {
 public:
  void put(const char* key, const std::string& value) {
    text_ += fmt::format("{}={}\n", key, escape(value));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_{first_line};
};

using Fields = std::map<std::string, std::string, std::less<>>;

std::string text_of(const Fields& fields, const char* key) {
  const auto found = fields.find(key);
  return found == fields.end() ? std::string() : found->second.substr(0, described_text_bytes_max);
}

template <typename Number>
Number number_of(const Fields& fields, const char* key) {
  const std::string text = text_of(fields, key);
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::vector<std::uint8_t> encode_description(const Description& d) {
  Lines lines;
  lines.put("database", d.database);
  lines.put("logical_file", d.logical_file);
  lines.put("physical_file", d.physical_file);
  lines.put("type", std::string(1, static_cast<char>(d.type)));
  lines.put("name", d.name);
  lines.put("text", d.text);
  lines.put("media_name", d.media_name);
  lines.put("server", d.server);
  lines.put("begun_at", std::to_string(d.begun_at));
  lines.put("max_transfer_bytes", std::to_string(d.max_transfer_bytes));
  lines.put("copy_only", d.is_copy_only ? "1" : "0");
  lines.put("snapshot", d.is_snapshot ? "1" : "0");
  lines.put("checksum", d.has_checksum ? "1" : "0");
  lines.put("compressed", d.is_compressed ? "1" : "0");
  // Nine texts of 512 bytes, each byte three at most, are far less than the block.
  std::vector<std::uint8_t> bytes(cli::description_payload_bytes);
  std::memcpy(bytes.data(), lines.text().data(), std::min(lines.text().size(), bytes.size()));
  return bytes;
}

bool decode_description(std::span<const std::uint8_t> bytes, Description& out) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string_view text = all.substr(0, std::min(all.find('\0'), all.size()));
  if (!text.starts_with(first_line)) return false;
  text.remove_prefix(first_line.size());
  Fields fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    fields.emplace(line.substr(0, equals), unescape(line.substr(equals + 1)));
  }
  Description d;
  d.database = text_of(fields, "database");
  d.logical_file = text_of(fields, "logical_file");
  d.physical_file = text_of(fields, "physical_file");
  const std::string type = text_of(fields, "type");
  if (type != "D" && type != "I" && type != "L") return false;
  d.type = static_cast<BackupType>(type[0]);
  d.name = text_of(fields, "name");
  d.text = text_of(fields, "text");
  d.media_name = text_of(fields, "media_name");
  d.server = text_of(fields, "server");
  d.begun_at = number_of<std::int64_t>(fields, "begun_at");
  d.max_transfer_bytes = number_of<std::uint32_t>(fields, "max_transfer_bytes");
  d.is_copy_only = text_of(fields, "copy_only") == "1";
  d.is_snapshot = text_of(fields, "snapshot") == "1";
  d.has_checksum = text_of(fields, "checksum") == "1";
  d.is_compressed = text_of(fields, "compressed") == "1";
  out = d;
  return true;
}

}  // namespace sqlcmd
