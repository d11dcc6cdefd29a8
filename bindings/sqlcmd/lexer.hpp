// lexer.hpp: T-SQL text as tokens. Never fails hard: a token of kind `bad` says what is wrong.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sqlcmd {

/// Where something stands in its batch, counted from 1; columns are bytes.
struct Position {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

enum class TokenKind : std::uint8_t {
  word,      // A bare identifier or keyword; text as written.
  quoted,    // [name], and "name" with quoted identifiers on; text without the quotes.
  text,      // 'x' or N'x'; text without the quotes.
  either,    // "x" with quoted identifiers off: a name or a text, as it is needed.
  number,    // Digits, perhaps with a fraction; no sign.
  variable,  // @name or @@name, the sign included.
  symbol,    // One character: , = ( ) ; + - . * and so on.
  bad,       // text says what is wrong.
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  Position at;

  /// Compares a bare word without regard to case; `upper` is in upper case.
  bool is_word(std::string_view upper) const;
  bool is_symbol(char symbol) const;
  bool is_text() const { return kind == TokenKind::text || kind == TokenKind::either; }
  bool is_quoted_name() const { return kind == TokenKind::quoted || kind == TokenKind::either; }
};

/// Upper case of ASCII letters, the rest as it is.
std::string upper_case(std::string_view text);

/// The last token is of kind end, or bad when the text cannot be read further.
std::vector<Token> tokenize(std::string_view batch, bool has_quoted_identifiers);

}  // namespace sqlcmd
