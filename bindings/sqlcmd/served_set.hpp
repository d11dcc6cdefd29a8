// served_set.hpp: a set opened as its server: waiting for it to appear, telling its client why
// nothing comes of it, watching for signals and the time while a statement runs, and putting into
// words how it ended.
#pragma once
#include <signal.h>
#include <vdset.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/engine_set.hpp"
#include "cli/failure.hpp"
#include "console.hpp"
#include "request.hpp"

namespace sqlcmd {

/// A statement that cannot go on; carries what the session is told before 3013.
class Refusal : public std::exception {
 public:
  Refusal(std::int32_t number, std::string text) : number_(number), text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  std::int32_t number() const { return number_; }

 private:
  std::int32_t number_;
  std::string text_;
};

class ServedSet {
 public:
  /// Waits at most `timeout_s` for the set named by the first device; throws Refusal.
  ServedSet(const Request& request, std::int32_t timeout_s, Console& console);
  ~ServedSet();
  ServedSet(const ServedSet&) = delete;
  ServedSet& operator=(const ServedSet&) = delete;

  /// What the engine needs to know of it. Throws Refusal when the client wants another number of
  /// devices.
  cli::EngineOptions engine_options(const Request& request);

  void abort(const std::string& why);
  /// The same, unless a bad answer has made the engine close its devices: then clients see CLOSE.
  void give_up(const std::string& why);

  /// Aborts on SIGINT, SIGTERM, SIGHUP, which must be held (HeldSignals), and when the time is up
  /// (0: never).
  void watch(std::int32_t timeout_s);

  /// Says what went wrong, to the log and to the session, without the final 3013.
  void explain(const Request& request, const cli::Failure& failure, Console& console);

 private:
  struct BadAnswer {
    std::string device;
    std::uint32_t command = 0;
    std::int32_t code = 0;
  };
  void run_watch(std::int32_t timeout_s);
  void explain_answer(const Request& request, const BadAnswer& answer, Console& console);
  bool explain_abort(const Request& request, Console& console);

  vdset_server* server_ = nullptr;
  std::mutex mutex_;
  std::optional<BadAnswer> bad_answer_;
  std::string stopped_by_;  // A signal, or the time.
  std::thread watch_;
  int watch_end_ = -1;  // An eventfd.
  bool is_watching_ = false;
};

/// SIGINT, SIGTERM and SIGHUP wait while one of these lives, in this thread and in those that it
/// makes: a statement that has begun says how it ended, and then they have their way.
class HeldSignals {
 public:
  HeldSignals();
  ~HeldSignals();
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t before_ = {};
};

/// What the session is told of a failure that is neither a client's answer nor its abort.
std::int32_t number_of_failure(const Request& request, const cli::Failure& failure);

/// Tells a client that already waits that its statement was refused before a server came. Does
/// nothing when no set is there.
void reject_set(const Request& request, const std::string& why);

}  // namespace sqlcmd
