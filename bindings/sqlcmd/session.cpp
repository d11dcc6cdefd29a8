// session.cpp: enough of T-SQL for what backup programs ask besides.
#include "session.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <ctime>

#include "statements.hpp"

namespace sqlcmd {

namespace {

constexpr std::size_t value_bytes_max = 1 << 20;
constexpr std::size_t name_width = 128;

std::string version_text() {
  return program_version() + ", SQLite databases behind a virtual device set";
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  char text[32] = {};
  ::localtime_r(&now, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S.000", &parts);
  return text;
}

}  // namespace

bool Session::is_there(const std::string& database, std::uint32_t line) {
  const bool is_known = Catalogue::is_system(database) || catalogue_.exists(database);
  if (!is_known) {
    console_.say(error_message(number::no_database,
                               fmt::format("Database '{}' does not exist.", database), line));
  }
  return is_known;
}

bool Session::use(const std::string& database, std::uint32_t line) {
  if (!is_there(database, line)) return false;
  database_ = database;
  return true;
}

void Session::run_batch(const std::string& batch) {
  const ParsedBatch parsed = parse_batch(batch, options_.has_quoted_identifiers);
  if (parsed.error) {
    has_failed_ = true;
    console_.say(*parsed.error);
    return;
  }
  variables_.clear();
  for (const Statement& statement : parsed.statements) {
    if (statement.verb == Verb::quit) break;
    run(statement);
  }
}

void Session::run(const Statement& statement) {
  std::optional<std::string> text;
  std::optional<Message> wrong;
  const bool had_failed = has_failed_;
  has_failed_ = false;
  switch (statement.verb) {
    case Verb::ignore:
    case Verb::quit: return;
    case Verb::count_rows: counts_rows_ = !statement.is_on; return;
    case Verb::use:
      wrong = evaluate(statement.database, variables_, text);
      if (wrong) break;
      has_failed_ = !use(text.value_or(""), statement.at.line);
      if (!has_failed_) {
        console_.say(
            {0, severity_info, fmt::format("Changed database context to '{}'.", database_), 1});
      }
      return;
    case Verb::alter:
      wrong = evaluate(statement.database, variables_, text);
      if (!wrong) has_failed_ = !is_there(text.value_or(""), statement.at.line);
      if (!wrong) return;
      break;
    case Verb::declare:
    case Verb::assign: has_failed_ = !assign(statement); return;
    case Verb::print:
      wrong = value_of(statement.expression, text);
      if (!wrong) console_.say({0, severity_info, text.value_or(""), statement.at.line, true});
      break;
    case Verb::select:
      has_failed_ = had_failed;  // For @@ERROR.
      select(statement);
      return;
    default: {
      Request request;
      wrong = resolve(statement, variables_, request);
      if (wrong) {
        console_.say(*wrong);
        wrong = error_message(number::finished_badly,
                              fmt::format("{} was not begun.", verb_name(request.verb)),
                              statement.at.line);
        break;
      }
      has_failed_ = !run_statement(request, {options_, catalogue_, console_, counts_rows_});
    }
  }
  if (!wrong) return;
  has_failed_ = true;
  console_.say(*wrong);
}

bool Session::assign(const Statement& statement) {
  std::optional<std::string> text;
  const std::optional<Message> wrong = value_of(statement.expression, text);
  const bool is_known = statement.verb == Verb::declare || variables_.contains(statement.variable);
  if (!wrong && is_known) {
    variables_[statement.variable] = text;
    return true;
  }
  console_.say(
      wrong ? *wrong
            : error_message(number::no_variable,
                            fmt::format("The variable {} is not declared.", statement.variable),
                            statement.at.line));
  return false;
}

std::optional<std::string> Session::system_variable(const std::string& upper_name) const {
  if (upper_name == "@@VERSION") return version_text();
  if (upper_name == "@@SERVERNAME") {
    return options_.server.empty() ? computer_name() : options_.server;
  }
  if (upper_name == "@@SPID") return std::to_string(::getpid());
  if (upper_name == "@@ERROR") return std::to_string(has_failed_ ? number::finished_badly : 0);
  if (upper_name == "@@ROWCOUNT" || upper_name == "@@TRANCOUNT") return "0";
  if (upper_name == "@@LANGUAGE") return "us_english";
  return {};
}

std::optional<Message> Session::call(const Value& function, std::optional<std::string>& out) {
  std::vector<std::string> arguments;
  for (const Value& argument : function.arguments) {
    std::optional<std::string> text;
    if (const auto wrong = evaluate(argument, variables_, text)) return wrong;
    arguments.push_back(text.value_or(""));
  }
  const std::string first = arguments.empty() ? "" : arguments[0];
  out.reset();
  if (function.text == "DB_NAME") {
    out = database_;
  } else if (function.text == "DB_ID") {
    if (Catalogue::is_system(first) || catalogue_.exists(first)) out.emplace("1");
  } else if (function.text == "SUSER_SNAME" || function.text == "SUSER_NAME" ||
             function.text == "USER_NAME") {
    out.emplace("sa");
  } else if (function.text == "IS_SRVROLEMEMBER" || function.text == "IS_MEMBER") {
    out.emplace("1");  // Who may open the databases' files may back them up.
  } else if (function.text == "GETDATE" || function.text == "SYSDATETIME") {
    out = now_text();
  } else if (function.text == "HOST_NAME") {
    out = computer_name();
  } else if (function.text == "SERVERPROPERTY") {
    const std::string property = upper_case(first);
    if (property == "SERVERNAME" || property == "MACHINENAME") out = computer_name();
    if (property == "PRODUCTVERSION") out = version_number();
    if (property == "EDITION") out.emplace("vdset");
  } else if (function.text == "ISNULL" && arguments.size() == 2) {
    out = first.empty() ? arguments[1] : first;
  } else {
    return error_message(number::syntax,
                         fmt::format("The function '{}' is not known here (line {}, column {}).",
                                     function.text, function.at.line, function.at.column),
                         function.at.line);
  }
  return {};
}

std::optional<Message> Session::value_of(const Expression& expression,
                                         std::optional<std::string>& out) {
  out.reset();
  for (const Value& value : expression) {
    std::optional<std::string> text;
    std::optional<Message> wrong;
    if (value.kind == ValueKind::function) {
      wrong = call(value, text);
    } else if (value.kind == ValueKind::variable && value.text.starts_with("@@")) {
      text = system_variable(upper_case(value.text));
    } else {
      wrong = evaluate(value, variables_, text);
    }
    if (wrong) return wrong;
    if (!text) {  // NULL and anything is NULL.
      out.reset();
      return {};
    }
    out = out.value_or("") + *text;
    if (out->size() > value_bytes_max) {
      return error_message(number::bad_value, "A text is longer than a megabyte.", value.at.line);
    }
  }
  return {};
}

void Session::select(const Statement& statement) {
  if (!statement.table.empty()) {
    select_databases(statement);
    return;
  }
  Table table;
  table.rows.emplace_back();
  for (const SelectItem& item : statement.items) {
    std::optional<std::string> text;
    const std::optional<Message> wrong =
        item.column.empty()
            ? value_of(item.expression, text)
            : error_message(number::syntax, fmt::format("There is no column '{}'.", item.column),
                            statement.at.line);
    if (wrong) {
      has_failed_ = true;
      console_.say(*wrong);
      return;
    }
    const bool is_number = !item.expression.empty() && item.expression[0].kind == ValueKind::number;
    const std::string value = text.value_or("NULL");
    table.columns.push_back({item.alias, is_number ? 11 : value.size(), is_number});
    table.rows[0].push_back(value);
  }
  has_failed_ = false;
  console_.print(table, counts_rows_);
}

void Session::select_databases(const Statement& statement) {
  const bool is_known =
      statement.table == "SYS.DATABASES" || statement.table == "MASTER.SYS.DATABASES" ||
      statement.table == "SYSDATABASES" || statement.table.ends_with(".SYSDATABASES");
  std::optional<std::string> wanted;
  std::optional<Message> wrong;
  if (!is_known) {
    wrong = error_message(number::syntax, fmt::format("There is no table '{}'.", statement.table),
                          statement.at.line);
  }
  if (!wrong && statement.wanted_name) wrong = evaluate(*statement.wanted_name, variables_, wanted);
  Table table;
  for (const SelectItem& item : statement.items) {
    const std::string column = upper_case(item.column);
    const bool is_name = column == "NAME" || column == "*";
    if (!is_name && column != "STATE_DESC" && !wrong) {
      wrong = error_message(number::syntax, fmt::format("There is no column '{}'.", item.column),
                            statement.at.line);
    }
    const std::string head = item.alias.empty() ? (is_name ? "name" : "state_desc") : item.alias;
    table.columns.push_back({head, name_width, false});
  }
  if (wrong) {
    has_failed_ = true;
    console_.say(*wrong);
    return;
  }
  for (const std::string& name : catalogue_.names()) {
    if (statement.wanted_name && name != wanted) continue;
    std::vector<std::string>& row = table.rows.emplace_back();
    for (const SelectItem& item : statement.items) {
      const bool is_state = upper_case(item.column) == "STATE_DESC";
      row.push_back(!is_state ? name : catalogue_.is_restoring(name) ? "RESTORING" : "ONLINE");
    }
  }
  has_failed_ = false;
  console_.print(table, counts_rows_);
}

}  // namespace sqlcmd
