// session.hpp: one connection's worth of state, and the statements that are not BACKUP or RESTORE.
#pragma once
#include <optional>
#include <string>

#include "catalogue.hpp"
#include "console.hpp"
#include "options.hpp"
#include "request.hpp"

namespace sqlcmd {

class Session {
 public:
  Session(const Options& options, const Catalogue& catalogue, Console& console)
      : options_(options), catalogue_(catalogue), console_(console) {}

  /// -d. False when there is no such database; it has been said.
  bool use(const std::string& database, std::uint32_t line);

  /// Variables live as long as the batch.
  void run_batch(const std::string& batch);

 private:
  /// False when there is no such database; it has been said.
  bool is_there(const std::string& database, std::uint32_t line);
  void run(const Statement& statement);
  bool assign(const Statement& statement);
  void select(const Statement& statement);
  void select_databases(const Statement& statement);
  std::optional<Message> value_of(const Expression& expression, std::optional<std::string>& out);
  std::optional<Message> call(const Value& function, std::optional<std::string>& out);
  std::optional<std::string> system_variable(const std::string& upper_name) const;

  const Options& options_;
  const Catalogue& catalogue_;
  Console& console_;
  Variables variables_;
  std::string database_ = "master";
  bool counts_rows_ = true;
  bool has_failed_ = false;  // The last statement: @@ERROR.
};

}  // namespace sqlcmd
