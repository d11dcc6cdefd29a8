// tsql.hpp: the part of T-SQL that this program knows, as statements. The parser never throws for
// bad input: the first thing that it does not understand becomes a message with its position, and
// then no statement of the batch is to be run. Work and memory are linear in the batch, which is at
// most batch_bytes_max long; nothing recurses.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lexer.hpp"
#include "message.hpp"

namespace sqlcmd {

inline constexpr std::size_t batch_bytes_max = std::size_t{4} << 20;

enum class ValueKind : std::uint8_t { text, number, variable, function, null };

/// A literal, a variable, or a call of a function whose arguments are literals or variables.
struct Value {
  ValueKind kind = ValueKind::null;
  std::string text;  // Of a function: its name in upper case.
  Position at;
  std::vector<Value> arguments;
};

/// Values joined by +.
using Expression = std::vector<Value>;

enum class Verb : std::uint8_t {
  backup_database,
  backup_log,
  restore_database,
  restore_log,
  list_files,
  list_headers,
  list_label,
  verify,
  use,
  declare,
  assign,
  ignore,
  count_rows,  // SET NOCOUNT
  alter,       // ALTER DATABASE x SET ...: of no consequence.
  print,
  select,
  quit,  // RETURN
};

/// How an option is written.
enum class OptionForm : std::uint8_t {
  flag,
  flag_with_list,  // NAME [(anything)]
  number,          // NAME = 1 | @v
  maybe_number,    // NAME [= 1 | @v]
  text,            // NAME = 'x' | @v
  mark,            // NAME = 'x' | @v [AFTER 'y']
  move,            // MOVE 'x' TO 'y'
};

enum class OptionId : std::uint8_t {
  ignored,  // Understood, and of no consequence here.
  refused,  // Understood, and impossible here: the statement fails with a message.
  block_size,
  buffer_count,
  max_transfer_size,
  stats,
  name,
  description,
  media_name,
  copy_only,
  differential,
  compression,
  checksum,
  snapshot,
  file,
  move,
  replace,
  recovery,
  no_recovery,
  standby,
  stop_at,
};

struct OptionSpec {
  const char* name;
  OptionForm form;
  OptionId id;
  std::uint8_t where;  // used_in_*
};
inline constexpr std::uint8_t used_in_backup = 1, used_in_restore = 2, used_in_lists = 4;

struct Option {
  const OptionSpec* spec = nullptr;
  Position at;
  std::optional<Value> value;
  std::optional<Value> second;  // MOVE ... TO this.
};

struct SelectItem {
  Expression expression;
  std::string column;  // Of a table, or "*"; then the expression is empty.
  std::string alias;
};

struct Statement {
  Verb verb = Verb::ignore;
  Position at;
  Value database;            // USE too: a text or a variable.
  std::vector<Value> files;  // FILE = 'x' before TO or FROM.
  std::vector<Value> devices;
  std::vector<Option> options;
  // DECLARE, SET, PRINT, SELECT:
  std::string variable;
  bool is_on = false;  // SET NOCOUNT ON
  Expression expression;
  std::vector<SelectItem> items;
  std::string table;                 // Upper case, "" without FROM.
  std::optional<Value> wanted_name;  // WHERE name = this.

  const Option* find(OptionId id) const;
};

/// "BACKUP DATABASE" and so on.
const char* verb_name(Verb verb);

struct ParsedBatch {
  std::vector<Statement> statements;
  std::optional<Message> error;
};

ParsedBatch parse_batch(std::string_view batch, bool has_quoted_identifiers);

}  // namespace sqlcmd
