// arguments.cpp: reading and writing key=value words.
#include "arguments.hpp"

#include <fmt/core.h>

#include <charconv>

#include "failure.hpp"

namespace cli {

Arguments::Arguments(int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      fail(ExitCode::usage, "not a key=value word", word, "do not start vdset's children by hand");
    }
    values_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

Arguments& Arguments::set(const std::string& key, const std::string& value) {
  values_[key] = value;
  return *this;
}

Arguments& Arguments::set(const std::string& key, std::uint64_t value) {
  return set(key, fmt::format("{}", value));
}

const std::string& Arguments::text(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) {
    fail(ExitCode::usage, "a word is missing", key, "do not start vdset's children by hand");
  }
  return found->second;
}

std::uint64_t Arguments::number(const std::string& key) const {
  const std::string& value = text(key);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    fail(ExitCode::usage, "not a number", key + "=" + value,
         "do not start vdset's children by hand");
  }
  return number;
}

std::uint32_t Arguments::number_32(const std::string& key) const {
  const std::uint64_t value = number(key);
  if (value > UINT32_MAX) {
    fail(ExitCode::usage, "number too large", key, "do not start vdset's children by hand");
  }
  return static_cast<std::uint32_t>(value);
}

std::vector<std::string> Arguments::words() const {
  std::vector<std::string> words;
  for (const auto& [key, value] : values_)
    words.push_back(key + "=" + value);
  return words;
}

}  // namespace cli
