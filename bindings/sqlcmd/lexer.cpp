// lexer.cpp: one pass over the bytes; nested comments are counted, not recursed into.
#include "lexer.hpp"

namespace sqlcmd {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Bytes of UTF-8 beyond ASCII count as letters.
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '#' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool continues_word(char c) {
  return begins_word(c) || is_digit(c) || c == '@' || c == '$';
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

class Lexer {
 public:
  Lexer(std::string_view text, bool has_quoted_identifiers)
      : text_(text), has_quoted_identifiers_(has_quoted_identifiers) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    do {
      tokens.push_back(next());
    } while (tokens.back().kind != TokenKind::end && tokens.back().kind != TokenKind::bad);
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool is_at_end() const { return at_ >= text_.size(); }

  void step() {
    if (text_[at_] == '\n') {
      position_ = {position_.line + 1, 1};
    } else {
      position_.column += 1;
    }
    at_ += 1;
  }

  /// False when a comment has no end; then `comment` says where it begins.
  bool skip_blanks(Position& comment) {
    while (!is_at_end()) {
      if (is_blank(peek())) {
        step();
      } else if (peek() == '-' && peek(1) == '-') {
        while (!is_at_end() && peek() != '\n')
          step();
      } else if (peek() == '/' && peek(1) == '*') {
        comment = position_;
        if (!skip_comment()) return false;
      } else {
        break;
      }
    }
    return true;
  }

  bool skip_comment() {
    std::uint32_t depth = 0;
    do {
      if (is_at_end()) return false;
      const bool opens = peek() == '/' && peek(1) == '*';
      const bool closes = peek() == '*' && peek(1) == '/';
      depth += opens ? 1 : 0;
      depth -= closes ? 1 : 0;
      if (opens || closes) step();
      step();
    } while (depth > 0);
    return true;
  }

  Token token(TokenKind kind, std::string text, Position at) const {
    return {kind, std::move(text), at};
  }

  /// From the opening quote on; the closing one doubled stands for itself.
  Token take_quoted(TokenKind kind, char closing, const char* unclosed, Position at) {
    std::string text;
    step();
    while (!is_at_end()) {
      if (peek() == closing) {
        step();
        if (peek() != closing || is_at_end()) return token(kind, std::move(text), at);
      }
      text += peek();
      step();
    }
    return token(TokenKind::bad, unclosed, at);
  }

  Token take_number(Position at) {
    std::string text;
    while (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) {
      text += peek();
      step();
    }
    return token(TokenKind::number, std::move(text), at);
  }

  Token take_word(TokenKind kind, Position at) {
    std::string text;
    do {
      text += peek();
      step();
    } while (!is_at_end() && continues_word(peek()));
    return token(kind, std::move(text), at);
  }

  Token next() {
    Position comment;
    if (!skip_blanks(comment)) return token(TokenKind::bad, "a comment that does not end", comment);
    const Position at = position_;
    if (is_at_end()) return token(TokenKind::end, "", at);
    const char c = peek();
    if (c == '\0') return token(TokenKind::bad, "a zero byte", at);
    if ((c == 'N' || c == 'n') && peek(1) == '\'') step();
    if (peek() == '\'') return take_quoted(TokenKind::text, '\'', "a text that does not end", at);
    if (c == '[') return take_quoted(TokenKind::quoted, ']', "a name that does not end", at);
    if (c == '"') {
      const TokenKind kind = has_quoted_identifiers_ ? TokenKind::quoted : TokenKind::either;
      return take_quoted(kind, '"', "a name that does not end", at);
    }
    if (is_digit(c)) return take_number(at);
    if (c == '@') return take_word(TokenKind::variable, at);
    if (begins_word(c)) return take_word(TokenKind::word, at);
    step();
    return token(TokenKind::symbol, std::string(1, c), at);
  }

  std::string_view text_;
  bool has_quoted_identifiers_;
  std::size_t at_ = 0;
  Position position_;
};

}  // namespace

std::string upper_case(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

bool Token::is_word(std::string_view upper) const {
  return kind == TokenKind::word && upper_case(text) == upper;
}

bool Token::is_symbol(char symbol) const {
  return kind == TokenKind::symbol && text[0] == symbol;
}

std::vector<Token> tokenize(std::string_view batch, bool has_quoted_identifiers) {
  return Lexer(batch, has_quoted_identifiers).run();
}

}  // namespace sqlcmd
