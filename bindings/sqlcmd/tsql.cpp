// tsql.cpp: recursive descent without recursion: no construct here nests.
#include "tsql.hpp"

#include <fmt/core.h>

#include "tsql_options.hpp"

namespace sqlcmd {

namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  ParsedBatch run() {
    ParsedBatch batch;
    while (!is_at_end()) {
      if (take_symbol(';')) continue;
      batch.statements.push_back(take_statement());
    }
    if (error_) batch.statements.clear();
    batch.error = std::move(error_);
    return batch;
  }

 private:
  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  bool is_at_end() const { return now().kind == TokenKind::end; }
  void step() {
    if (at_ + 1 < tokens_.size()) at_ += 1;
  }
  bool take_word(const char* upper) {
    if (!now().is_word(upper)) return false;
    step();
    return true;
  }
  bool take_symbol(char symbol) {
    if (!now().is_symbol(symbol)) return false;
    step();
    return true;
  }
  void need_word(const char* upper) {
    if (!take_word(upper)) fail_here(upper);
  }
  void need_symbol(char symbol) {
    if (!take_symbol(symbol)) fail_here(std::string(1, symbol));
  }

  /// Keeps the first error and goes to the end of the batch, where every loop here stops.
  void fail_now(std::int32_t number, const std::string& text) {
    if (!error_) {
      const Position at = now().at;
      error_ = error_message(
          number, fmt::format("{} (line {}, column {}).", text, at.line, at.column), at.line);
    }
    at_ = tokens_.size() - 1;
    tokens_[at_].kind = TokenKind::end;
  }
  void fail_here(const std::string& expected) {
    if (now().kind == TokenKind::bad) {
      fail_now(number::syntax, "Here begins " + now().text);
      return;
    }
    const std::string found =
        is_at_end() ? "The end of the batch" : fmt::format("'{}'", now().text);
    fail_now(number::syntax, fmt::format("{} stands where {} is expected", found, expected));
  }

  // Values.
  Value take_simple_value(const char* expected) {
    Value value;
    value.at = now().at;
    const bool is_negative = now().is_symbol('-') && following().kind == TokenKind::number;
    if (is_negative) step();
    if (now().is_text()) value.kind = ValueKind::text;
    if (now().kind == TokenKind::number) value.kind = ValueKind::number;
    if (now().kind == TokenKind::variable) value.kind = ValueKind::variable;
    if (value.kind == ValueKind::null && !now().is_word("NULL")) fail_here(expected);
    if (is_negative) value.text.push_back('-');
    if (value.kind != ValueKind::null) value.text.append(now().text);
    step();
    return value;
  }

  Value take_text(const char* expected) {
    if (!now().is_text() && now().kind != TokenKind::variable) fail_here(expected);
    return take_simple_value(expected);
  }

  Value take_number() {
    const bool is_number = now().kind == TokenKind::number || now().kind == TokenKind::variable ||
                           now().is_symbol('-');
    if (!is_number) fail_here("a number or a variable");
    return take_simple_value("a number or a variable");
  }

  Value take_term() {
    const bool is_call = now().kind == TokenKind::word && following().is_symbol('(');
    if (!is_call) return take_simple_value("a value");
    Value value;
    value.kind = ValueKind::function;
    value.text = upper_case(now().text);
    value.at = now().at;
    step();
    step();
    while (!error_ && !take_symbol(')')) {
      if (!value.arguments.empty()) need_symbol(',');
      value.arguments.push_back(take_simple_value("a value"));
    }
    return value;
  }

  Expression take_expression() {
    Expression expression;
    do {
      expression.push_back(take_term());
    } while (take_symbol('+'));
    return expression;
  }

  /// A database's name: an identifier or a variable.
  Value take_name() {
    const TokenKind kind = now().kind;
    if (kind != TokenKind::word && !now().is_quoted_name() && kind != TokenKind::variable) {
      fail_here("a database's name");
    }
    Value value;
    value.kind = kind == TokenKind::variable ? ValueKind::variable : ValueKind::text;
    value.text = now().text;
    value.at = now().at;
    step();
    return value;
  }

  // Statements.
  Statement take_statement() {
    Statement statement;
    statement.at = now().at;
    if (take_word("BACKUP")) return take_backup(std::move(statement));
    if (take_word("RESTORE")) return take_restore(std::move(statement));
    if (take_word("USE")) {
      statement.verb = Verb::use;
      statement.database = take_name();
      return statement;
    }
    if (take_word("DECLARE")) return take_declare(std::move(statement));
    if (take_word("ALTER")) return take_alter(std::move(statement));
    if (take_word("SET")) return take_set(std::move(statement));
    if (take_word("PRINT")) {
      statement.verb = Verb::print;
      statement.expression = take_expression();
      return statement;
    }
    if (take_word("SELECT")) return take_select(std::move(statement));
    if (take_word("RETURN")) {
      statement.verb = Verb::quit;
      return statement;
    }
    fail_here("BACKUP, RESTORE, USE, DECLARE, SET, PRINT, SELECT or ALTER DATABASE");
    return statement;
  }

  /// ALTER DATABASE x SET ..., as scripts like to have around a RESTORE. Words that begin another
  /// statement end it.
  Statement take_alter(Statement statement) {
    static constexpr const char* beginnings[] = {"BACKUP", "RESTORE", "USE",    "DECLARE",
                                                 "PRINT",  "SELECT",  "RETURN", "ALTER"};
    need_word("DATABASE");
    statement.verb = Verb::alter;
    statement.database = take_name();
    need_word("SET");
    if (now().kind != TokenKind::word) fail_here("a setting");
    while (!is_at_end() && !now().is_symbol(';')) {
      if (now().kind == TokenKind::bad) fail_here("a setting");
      for (const char* word : beginnings) {
        if (now().is_word(word)) return statement;
      }
      step();
    }
    return statement;
  }

  Statement take_backup(Statement statement) {
    if (take_word("LOG") || take_word("TRANSACTION")) {
      statement.verb = Verb::backup_log;
    } else {
      need_word("DATABASE");
      statement.verb = Verb::backup_database;
    }
    statement.database = take_name();
    take_files(statement);
    need_word("TO");
    take_devices(statement);
    take_options(statement, used_in_backup);
    return statement;
  }

  Statement take_restore(Statement statement) {
    static constexpr struct {
      const char* word;
      Verb verb;
      bool has_database;
    } forms[] = {
        {"DATABASE", Verb::restore_database, true}, {"LOG", Verb::restore_log, true},
        {"TRANSACTION", Verb::restore_log, true},   {"FILELISTONLY", Verb::list_files, false},
        {"HEADERONLY", Verb::list_headers, false},  {"LABELONLY", Verb::list_label, false},
        {"VERIFYONLY", Verb::verify, false},
    };
    for (const auto& form : forms) {
      if (!take_word(form.word)) continue;
      statement.verb = form.verb;
      bool has_source = true;
      if (form.has_database) {
        statement.database = take_name();
        take_files(statement);
        has_source = !now().is_word("WITH") && !now().is_symbol(';') && !is_at_end();
      }
      if (has_source) {
        need_word("FROM");
        take_devices(statement);
      }
      take_options(statement, form.has_database ? used_in_restore : used_in_lists);
      return statement;
    }
    fail_here("DATABASE, LOG, FILELISTONLY, HEADERONLY, LABELONLY or VERIFYONLY");
    return statement;
  }

  /// FILE = 'x' and FILEGROUP = 'x' before TO and FROM.
  void take_files(Statement& statement) {
    if (take_word("READ_WRITE_FILEGROUPS")) return;
    do {
      if (!take_word("FILE") && !take_word("FILEGROUP")) return;
      need_symbol('=');
      statement.files.push_back(take_text("a file's name in quotes"));
    } while (take_symbol(','));
  }

  void take_devices(Statement& statement) {
    do {
      if (now().is_word("DISK") || now().is_word("TAPE") || now().is_word("URL")) {
        fail_now(number::syntax,
                 fmt::format("'{}' is not served here, only VIRTUAL_DEVICE is", now().text));
        return;
      }
      need_word("VIRTUAL_DEVICE");
      need_symbol('=');
      statement.devices.push_back(take_text("a device's name in quotes or a variable"));
    } while (take_symbol(','));
    if (now().is_word("MIRROR")) fail_now(number::syntax, "'MIRROR' is not served here");
  }

  void take_options(Statement& statement, std::uint8_t where) {
    if (!take_word("WITH")) return;
    do {
      Option option;
      option.at = now().at;
      if (now().kind != TokenKind::word) {
        fail_here("an option");
        return;
      }
      option.spec = find_option(upper_case(now().text));
      if (option.spec == nullptr || (option.spec->where & where) == 0) {
        fail_now(number::not_an_option,
                 fmt::format("'{}' is not an option of {}", now().text, verb_name(statement.verb)));
        return;
      }
      step();
      take_option_value(option);
      statement.options.push_back(std::move(option));
    } while (take_symbol(','));
  }

  void take_option_value(Option& option) {
    switch (option.spec->form) {
      case OptionForm::flag: return;
      case OptionForm::flag_with_list:
        if (!take_symbol('(')) return;
        while (!error_ && !take_symbol(')')) {
          if (is_at_end() || now().kind == TokenKind::bad) fail_here(")");
          step();
        }
        return;
      case OptionForm::maybe_number:
        if (!take_symbol('=')) return;
        option.value = take_number();
        return;
      case OptionForm::number:
        need_symbol('=');
        option.value = take_number();
        return;
      case OptionForm::text:
      case OptionForm::mark:
        need_symbol('=');
        option.value = take_text("a text in quotes or a variable");
        if (option.spec->form == OptionForm::mark && take_word("AFTER")) {
          option.second = take_text("a text in quotes or a variable");
        }
        return;
      case OptionForm::move:
        option.value = take_text("a logical file's name in quotes");
        need_word("TO");
        option.second = take_text("a path in quotes");
        return;
    }
  }

  std::string take_variable() {
    if (now().kind != TokenKind::variable) fail_here("a variable");
    std::string name = upper_case(now().text);
    step();
    return name;
  }

  /// One variable a statement: the batch's loop comes back for what follows a comma.
  Statement take_declare(Statement statement) {
    statement.verb = Verb::declare;
    statement.variable = take_variable();
    take_word("AS");
    if (now().kind != TokenKind::word) fail_here("a type");
    step();
    if (take_symbol('(')) {
      if (!take_word("MAX")) take_number();
      if (take_symbol(',')) take_number();
      need_symbol(')');
    }
    if (take_symbol('=')) statement.expression = take_expression();
    if (now().is_symbol(',') && following().kind == TokenKind::variable) {
      // "DECLARE @a int, @b int" is two statements: the comma becomes the second's first word.
      tokens_[at_].kind = TokenKind::word;
      tokens_[at_].text = "DECLARE";
    }
    return statement;
  }

  Statement take_set(Statement statement) {
    if (now().kind == TokenKind::variable) {
      statement.verb = Verb::assign;
      statement.variable = take_variable();
      need_symbol('=');
      statement.expression = take_expression();
      return statement;
    }
    if (now().kind != TokenKind::word) fail_here("a variable or a setting");
    if (take_word("TRANSACTION")) return take_isolation(std::move(statement));
    statement.verb = now().is_word("NOCOUNT") ? Verb::count_rows : Verb::ignore;
    if (take_word("STATISTICS") && now().kind != TokenKind::word) fail_here("a setting");
    do {
      step();
    } while (take_symbol(','));
    statement.is_on = now().is_word("ON");
    if (take_word("ON") || take_word("OFF")) return statement;
    const bool takes_word = statement.verb == Verb::ignore && now().kind == TokenKind::word;
    if (takes_word) {
      step();
      return statement;
    }
    if (statement.verb == Verb::count_rows) fail_here("ON or OFF");
    take_simple_value("ON, OFF or a value");
    return statement;
  }

  /// SET TRANSACTION ISOLATION LEVEL ...
  Statement take_isolation(Statement statement) {
    need_word("ISOLATION");
    need_word("LEVEL");
    if (take_word("SERIALIZABLE") || take_word("SNAPSHOT")) return statement;
    if (take_word("REPEATABLE")) {
      need_word("READ");
      return statement;
    }
    need_word("READ");
    if (!take_word("COMMITTED") && !take_word("UNCOMMITTED")) fail_here("COMMITTED");
    return statement;
  }

  Statement take_select(Statement statement) {
    statement.verb = Verb::select;
    do {
      statement.items.push_back(take_item());
    } while (take_symbol(','));
    if (take_word("FROM")) statement.table = take_table();
    if (take_word("WHERE")) {
      need_word("NAME");
      need_symbol('=');
      statement.wanted_name = take_text("a text in quotes or a variable");
    }
    if (take_word("ORDER")) {
      need_word("BY");
      need_word("NAME");
    }
    const Value* first =
        statement.items[0].expression.empty() ? nullptr : &statement.items[0].expression[0];
    if (statement.table.empty() && first == nullptr) fail_here("FROM and a table");
    return statement;
  }

  SelectItem take_item() {
    SelectItem item;
    const bool is_column =
        (now().kind == TokenKind::word && !following().is_symbol('(') && !now().is_word("NULL")) ||
        now().kind == TokenKind::quoted || now().is_symbol('*');
    if (is_column) {
      item.column = now().text;
      step();
    } else {
      item.expression = take_expression();
    }
    const bool has_as = take_word("AS");
    const bool is_alias = now().is_quoted_name() || (has_as && now().kind == TokenKind::word) ||
                          (has_as && now().is_text());
    if (has_as && !is_alias) fail_here("a column's name");
    if (!is_alias) return item;
    item.alias = now().text;
    step();
    return item;
  }

  std::string take_table() {
    std::string table;
    for (;;) {
      if (now().kind != TokenKind::word && !now().is_quoted_name()) {
        fail_here("a table");
        return table;
      }
      table += upper_case(now().text);
      step();
      if (!now().is_symbol('.')) return table;
      while (take_symbol('.'))
        table += '.';
    }
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::optional<Message> error_;
};

}  // namespace

const Option* Statement::find(OptionId id) const {
  for (const Option& option : options) {
    if (option.spec->id == id) return &option;
  }
  return nullptr;
}

const char* verb_name(Verb verb) {
  switch (verb) {
    case Verb::backup_database: return "BACKUP DATABASE";
    case Verb::backup_log: return "BACKUP LOG";
    case Verb::restore_database: return "RESTORE DATABASE";
    case Verb::restore_log: return "RESTORE LOG";
    case Verb::list_files: return "RESTORE FILELISTONLY";
    case Verb::list_headers: return "RESTORE HEADERONLY";
    case Verb::list_label: return "RESTORE LABELONLY";
    case Verb::verify: return "RESTORE VERIFYONLY";
    case Verb::use: return "USE";
    case Verb::declare: return "DECLARE";
    case Verb::assign:
    case Verb::ignore:
    case Verb::count_rows: return "SET";
    case Verb::alter: return "ALTER DATABASE";
    case Verb::print: return "PRINT";
    case Verb::select: return "SELECT";
    case Verb::quit: return "RETURN";
  }
  return "?";
}

ParsedBatch parse_batch(std::string_view batch, bool has_quoted_identifiers) {
  if (batch.size() > batch_bytes_max) {
    ParsedBatch refused;
    refused.error = error_message(
        number::syntax, fmt::format("The batch is longer than {} bytes.", batch_bytes_max), 1);
    return refused;
  }
  return Parser(tokenize(batch, has_quoted_identifiers)).run();
}

}  // namespace sqlcmd
