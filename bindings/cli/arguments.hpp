// arguments.hpp: key=value words on the command line of the program's own children.
// Only vdset itself writes them, so a missing one is a bug, not a user's mistake.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cli {

class Arguments {
 public:
  Arguments() = default;
  /// Reads words of the form key=value.
  Arguments(int count, char** words);

  Arguments& set(const std::string& key, const std::string& value);
  Arguments& set(const std::string& key, std::uint64_t value);

  const std::string& text(const std::string& key) const;
  std::uint64_t number(const std::string& key) const;
  std::uint32_t number_32(const std::string& key) const;
  bool flag(const std::string& key) const { return number(key) != 0; }

  std::vector<std::string> words() const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace cli
