// output.hpp: text for people and for stdout.
#pragma once
#include <string>
#include <string_view>

namespace cli {

/// `text` with control characters written as \n, \t or \xNN: paths and SQLite's words may hold
/// newlines, and a message is one line.
std::string one_line(std::string_view text);

/// Writes `text` to stdout, at once. False when it does not take it, or has lost something before.
bool put_out(std::string_view text);

/// The same; throws Failure, beginning with `what_is_lost`.
void print_out(std::string_view text, const char* what_is_lost);

}  // namespace cli
