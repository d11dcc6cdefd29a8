// fuzz/fuzz_tsql.cpp: any bytes as a script of sqlcmd, as one batch, or as a backup's description.
// Oracle: a lexer and a splitter into batches written from docs/sqlcmd.md alone; what was parsed,
// printed and parsed again is the same, in either setting of quoted identifiers; every value stands
// where it says; an error names a token and leaves no statement; a request that is accepted lies in
// the ranges of the documentation; a description written again is the same.
#include <map>
#include <string>
#include "bindings/sqlcmd/description.hpp"
#include "bindings/sqlcmd/request.hpp"
#include "bindings/sqlcmd/script.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/tsql_reference.hpp"

using namespace sqlcmd;
using vdset::fuzz::Input;
namespace reference = vdset::fuzz::tsql;

namespace {

vdset::fuzz::Goal parsed_batch("a batch with statements");
vdset::fuzz::Goal backup_request("a BACKUP that may be performed");
vdset::fuzz::Goal restore_request("a RESTORE that may be performed");
vdset::fuzz::Goal refused_request("a statement that is read and may not be performed");
vdset::fuzz::Goal named_error("an error that names its token");
vdset::fuzz::Goal several_batches("a script of several batches");
vdset::fuzz::Goal read_description("a description that is read");

// ---- Tokens

using Places = std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t>;

/// Where the tokens stand; every one is what the reference reads there.
Places judge_tokens(std::string_view batch, const std::vector<Token>& tokens, bool quoted) {
  const std::vector<reference::Piece> pieces = reference::read(batch, quoted);
  VDSET_HOLDS(tokens.size() == pieces.size());
  Places places;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Position at = reference::position_of(batch, pieces[i].begin);
    VDSET_HOLDS(tokens[i].kind == pieces[i].kind);
    VDSET_HOLDS(tokens[i].kind == TokenKind::bad || tokens[i].text == pieces[i].text);
    VDSET_HOLDS(tokens[i].at.line == at.line && tokens[i].at.column == at.column);
    places[{at.line, at.column}] = i;
  }
  return places;
}

struct Origin {
  const Places& places;
  const std::vector<Token>& tokens;

  const Token& at(Position position) const {
    const auto found = places.find({position.line, position.column});
    VDSET_HOLDS(found != places.end());
    return tokens[found->second];
  }
  /// Nothing is made up: the value is what stands there.
  void judge(const Value& value) const {
    const Token& token = at(value.at);
    switch (value.kind) {
      case ValueKind::null: VDSET_HOLDS(token.is_word("NULL")); break;
      case ValueKind::function: VDSET_HOLDS(upper_case(token.text) == value.text); break;
      default:
        VDSET_HOLDS(token.is_symbol('-') ? value.text == "-" + (&token + 1)->text
                                         : value.text == token.text);
    }
    for (const Value& argument : value.arguments)
      judge(argument);
  }
  void judge(const Expression& expression) const {
    for (const Value& value : expression)
      judge(value);
  }
  void judge(const Statement& s) const {
    at(s.at);
    judge(s.files);
    judge(s.devices);
    judge(s.expression);
    if (s.wanted_name) judge(*s.wanted_name);
    for (const SelectItem& item : s.items)
      judge(item.expression);
    for (const Option& option : s.options) {
      VDSET_HOLDS(at(option.at).is_word(option.spec->name));
      if (option.value) judge(*option.value);
      if (option.second) judge(*option.second);
    }
  }
};

// ---- Statements

void judge_error(const Message& error, const Origin& origin) {
  const std::size_t begin = error.text.rfind("(line ");
  VDSET_HOLDS(begin != std::string::npos && error.is_error());
  Position at;
  int length = 0;
  const char* const text = error.text.c_str() + begin;
  VDSET_HOLDS(std::sscanf(text, "(line %u, column %u).%n", &at.line, &at.column, &length) == 2);
  VDSET_HOLDS(begin + static_cast<std::size_t>(length) == error.text.size());
  VDSET_HOLDS(error.line == at.line);
  origin.at(at);
}

/// "Statements" of docs/sqlcmd.md: what may be performed.
void judge_request(const Statement& statement, const Variables& variables) {
  Request request;
  if (const std::optional<Message> wrong = resolve(statement, variables, request)) {
    VDSET_HOLDS(wrong->is_error() && !wrong->text.empty());
    refused_request.reach();
    return;
  }
  if (request.is_backup()) backup_request.reach();
  if (request.is_restore()) restore_request.reach();
  const auto devices = request.devices.size();
  VDSET_HOLDS(reference::is_power_of_two(request.block_bytes));
  VDSET_HOLDS(request.block_bytes >= 512 && request.block_bytes <= 65536);
  VDSET_HOLDS(request.max_transfer_bytes >= 65536 && request.max_transfer_bytes <= 4194304);
  VDSET_HOLDS(request.max_transfer_bytes % 65536 == 0);
  VDSET_HOLDS(request.buffers_count <= 4096 && request.buffers_wanted() >= 2 * devices + 1);
  VDSET_HOLDS(request.stats_percent <= 100 && devices <= 64);
  VDSET_HOLDS(devices > 0 || (request.is_restore() && request.recovers));
  VDSET_HOLDS(!request.is_snapshot || devices == 1);
  for (std::size_t i = 0; i < devices; ++i) {
    const std::string& name = request.devices[i];
    VDSET_HOLDS(!name.empty() && name.size() <= 255);
    VDSET_HOLDS(name.find('\\') == std::string::npos && name.find('\0') == std::string::npos);
    for (std::size_t k = 0; k < i; ++k)
      VDSET_HOLDS(request.devices[k] != name);
  }
  for (const Move& move : request.moves)
    VDSET_HOLDS(move.path.starts_with("/"));
}

void judge_meaning(const std::vector<Statement>& statements) {
  Variables variables;
  for (const Statement& s : statements) {
    if (s.verb == Verb::declare) variables[s.variable] = std::nullopt;
    const bool is_given = s.verb == Verb::declare || s.verb == Verb::assign;
    if (is_given && s.expression.size() == 1) {
      std::optional<std::string> text;
      if (!evaluate(s.expression[0], variables, text)) variables[s.variable] = text;
    }
    if (s.verb <= Verb::verify) judge_request(s, variables);
  }
}

void judge_batch(std::string_view batch, bool quoted) {
  const std::vector<Token> tokens = tokenize(batch, quoted);
  const Places places = judge_tokens(batch, tokens, quoted);
  const Origin origin{places, tokens};
  const ParsedBatch parsed = parse_batch(batch, quoted);
  if (parsed.error) {
    VDSET_HOLDS(parsed.statements.empty());
    judge_error(*parsed.error, origin);
    named_error.reach();
    return;
  }
  if (!parsed.statements.empty()) parsed_batch.reach();
  for (const Statement& statement : parsed.statements)
    origin.judge(statement);
  const std::string printed = reference::print(parsed.statements);
  for (const bool other : {false, true}) {
    const ParsedBatch again = parse_batch(printed, other);
    VDSET_HOLDS(!again.error && again.statements.size() == parsed.statements.size());
    VDSET_HOLDS(reference::print(again.statements) == printed);
  }
  judge_meaning(parsed.statements);
}

// ---- Scripts

constexpr std::size_t runs_max = 32;

void judge_script(std::string text, bool quoted) {
  std::replace(text.begin(), text.end(), '\0', ' ');  // Beyond one nothing is read.
  Options options;
  options.substitutes_variables = false;
  std::vector<std::string> batches;
  const auto run = [&](const std::string& batch) {
    batches.push_back(batch);
    return batches.size() < runs_max;
  };
  const auto complain = [](const std::string& words) { VDSET_HOLDS(!words.empty()); };
  ScriptRunner(options, run, complain).run_text(text);
  VDSET_HOLDS(batches == reference::split(text, runs_max));
  if (batches.size() > 1) several_batches.reach();
  for (const std::string& batch : batches)
    judge_batch(batch, quoted);
  // With variables, one of which names itself: it ends.
  options.substitutes_variables = true;
  options.variables = {{"A", "$(A)$(B)"}, {"B", "'"}};
  batches.clear();
  ScriptRunner(options, run, complain).run_text(text);
}

void judge_description(std::span<const std::uint8_t> bytes) {
  Description read, again;
  if (!decode_description(bytes, read)) return;
  read_description.reach();
  const std::vector<std::uint8_t> written = encode_description(read);
  VDSET_HOLDS(decode_description(written, again));
  VDSET_HOLDS(encode_description(again) == written);
  for (const std::string* text : {&read.database, &read.logical_file, &read.physical_file,
                                  &read.name, &read.text, &read.media_name, &read.server})
    VDSET_HOLDS(text->size() <= described_text_bytes_max);
  VDSET_HOLDS(read.database == again.database && read.physical_file == again.physical_file);
  VDSET_HOLDS(read.type == again.type && read.name == again.name && read.text == again.text);
  VDSET_HOLDS(read.begun_at == again.begun_at && read.is_snapshot == again.is_snapshot);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 65536) return 0;
  Input in(data, size);
  const std::uint8_t choice = in.byte();
  const std::string text(reinterpret_cast<const char*>(in.rest()), in.left());
  const bool quoted = (choice & 1) != 0;
  switch (choice >> 1 & 3) {
    case 0:
    case 1: judge_batch(text, quoted); break;
    case 2: judge_script(text, quoted); break;
    default: judge_description({in.rest(), in.left()});
  }
  return 0;
}
