// json.hpp: writes one JSON text, key by key, in the order given.
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

/// `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);

class JsonObject {
 public:
  JsonObject& add(std::string_view key, std::string_view text) {
    return add_raw(key, json_quote(text));
  }
  JsonObject& add(std::string_view key, const char* text) {
    return add(key, std::string_view(text));
  }
  JsonObject& add(std::string_view key, bool value) {
    return add_raw(key, value ? "true" : "false");
  }
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  JsonObject& add(std::string_view key, Number value) {
    return add_raw(key, std::to_string(value));
  }
  JsonObject& add(std::string_view key, double value);
  /// `json` is a JSON text already.
  JsonObject& add_raw(std::string_view key, std::string_view json);

  std::string text() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

class JsonArray {
 public:
  void add_raw(std::string_view json);
  std::string text() const { return "[" + elements_ + "]"; }

 private:
  std::string elements_;
};

}  // namespace cli
