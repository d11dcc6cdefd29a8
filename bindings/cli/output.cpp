// output.cpp: one line is one line, and a full disk behind stdout is seen.
#include "output.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>

#include "failure.hpp"

namespace cli {

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

bool put_out(std::string_view text) {
  errno = 0;
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

void print_out(std::string_view text, const char* what_is_lost) {
  if (!put_out(text)) fail_errno(errno != 0 ? errno : EIO, what_is_lost, "standard output");
}

}  // namespace cli
