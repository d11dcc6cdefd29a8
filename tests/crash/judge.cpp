// tests/crash/judge.cpp: what must hold after a run, whoever was killed where.
#include <vdset.h>
#include <cstdarg>
#include <cstdio>
#include "tests/crash/runner.hpp"

namespace vdset::crash {
namespace {

class Judge {
 public:
  Judge(Book& book, const Ends& ends, bool faulty) : book_(book), ends_(ends), faulty_(faulty) {}

  std::string judge() {
    for (std::uint32_t i = 0; i < who_count; ++i)
      if (ends_.started[i] && !ends_.killed[i]) judge_survivor(static_cast<Who>(i));
    if (!was_killed(Who::server) || has_ended(Who::rescuer, End::closed)) judge_commands();
    if (has_ended(Who::server, End::closed) || has_ended(Who::rescuer, End::closed))
      judge_normal_end();
    return wrong_;
  }

 private:
  bool was_killed(Who who) const { return ends_.killed[static_cast<std::uint32_t>(who)]; }
  bool has_started(Who who) const { return ends_.started[static_cast<std::uint32_t>(who)]; }
  bool has_ended(Who who, End how) {
    return has_started(who) && !was_killed(who) &&
           book_.of(who).end == static_cast<std::uint32_t>(how);
  }

  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...) {
    char text[500];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wrong_ += (wrong_.empty() ? "" : "; ") + std::string(text);
  }

  /// Ended by itself: at the set's end, by an abort whose reason is true, or it was not let in.
  void judge_survivor(Who who) {
    const RoleBook& log = book_.of(who);
    const char* const name = who_names[static_cast<std::uint32_t>(who)];
    if (log.complained != 0) complain("%s: %s", name, log.complaint);
    switch (static_cast<End>(log.end.load())) {
      case End::none: return complain("%s came to no end", name);
      case End::closed: return;
      case End::aborted: return judge_reason(name, log);
      case End::left:
        if (!(book_.plan.closes || book_.plan.hangs_up) || book_.plan.aborter != who)
          complain("%s left", name);
        return;
      case End::refused: break;
    }
    const auto code = static_cast<std::int32_t>(log.code.load());
    const bool gone = code == VDSET_E_INVALID || code == VDSET_E_ABORT || code == VDSET_E_PROTOCOL;
    // A successor may come when all is done.
    const bool late = (who == Who::successor || who == Who::heir) &&
                      (has_ended(Who::server, End::closed) || has_ended(Who::rescuer, End::closed));
    const bool alone = was_killed(Who::primary) || was_killed(Who::server) || late ||
                       book_.plan.aborter != Who::count;
    if (!faulty_ && !(gone && alone)) complain("%s was refused: %s", name, vdset_error_name(code));
  }

  /// The one who aborted, or a primary or server that was killed.
  bool can_have_aborted(Who who, const RoleBook& log) const {
    const auto i = static_cast<std::uint32_t>(who);
    const std::uint32_t role = who == Who::server || who == Who::rescuer ? 1
                               : who == Who::primary                     ? 2
                                                                         : 3;
    const bool aborts = book_.plan.aborter == who &&
                        !((book_.plan.closes || book_.plan.hangs_up) && who == Who::secondary);
    const bool may = aborts || (ends_.killed[i] && (who == Who::server || who == Who::primary));
    return may && log.reason_role == role &&
           log.reason_pid == static_cast<std::uint32_t>(ends_.pid[i]);
  }
  void judge_reason(const char* name, const RoleBook& log) {
    if (faulty_) return;
    for (std::uint32_t i = 0; i < who_count; ++i)
      if (can_have_aborted(static_cast<Who>(i), log)) return;
    complain("%s: aborted by role %u, process %u, call %u: not true", name, log.reason_role.load(),
             log.reason_pid.load(), log.reason_call.load());
  }

  void judge_commands() {
    for (std::uint32_t d = 0; d < device_count; ++d)
      for (std::uint32_t i = 0; i < commands_max; ++i) {
        const CommandBook& c = book_.commands[d][i];
        if (c.callbacks != c.sent)
          complain("command %u.%u: sent %u, ended %u", d, i, c.sent.load(), c.callbacks.load());
        if (c.callbacks == 0) continue;
        if (c.completed > 1)
          complain("command %u.%u: completed %u times", d, i, c.completed.load());
        if (c.code == 0 && c.completing == 0) complain("command %u.%u: nobody did it", d, i);
        const bool failed_by_death = c.code == 995 || c.code == 1117;
        if (c.code != 0 && !failed_by_death && !faulty_)
          complain("command %u.%u: code %u", d, i, c.code.load());
      }
  }

  /// The set came to its end: who completed was believed, and only a death failed commands.
  void judge_normal_end() {
    // What one who lives had fetched when it closed stays out of use. Killed after its goodbye it
    // lives, for the server, until the pidfd says otherwise, which may be after the end of the set.
    const bool left =
        has_ended(Who::secondary, End::left) || (book_.plan.closes && was_killed(Who::secondary));
    const std::uint32_t all = small_buffers + large_buffers + 1;
    const std::uint32_t kept = !left                 ? 0
                               : book_.plan.hangs_up ? window + large_buffers  // Never asked for.
                                                     : held_max;
    if ((book_.available > all || book_.available + kept < all) && !faulty_)
      complain("%u of %u buffers can be allocated at the end", book_.available.load() - 1,
               small_buffers + large_buffers);
    const bool died = was_killed(Who::secondary) || was_killed(Who::successor);
    for (std::uint32_t d = 0; d < device_count; ++d)
      for (std::uint32_t i = 0; i < commands_max; ++i) {
        const CommandBook& c = book_.commands[d][i];
        if (c.callbacks != 1) complain("command %u.%u: ended %u times", d, i, c.callbacks.load());
        if (c.completed == 1 && c.code != 0)
          complain("command %u.%u: completed, but ended with %u", d, i, c.code.load());
        const bool may_fail = (d == 1 && ((died && !book_.plan.hand_over) || left)) || faulty_;
        if (c.code != 0 && !may_fail)
          complain("command %u.%u: ended with %u though none need fail", d, i, c.code.load());
      }
  }

  Book& book_;
  const Ends& ends_;
  bool faulty_;
  std::string wrong_;
};

}  // namespace

std::string judge(Book& book, const Ends& ends, bool faulty) {
  return Judge(book, ends, faulty).judge();
}

}  // namespace vdset::crash
