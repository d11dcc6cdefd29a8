// tests/conformance/server_timeout.cpp: serverTimeOut (3.4): when something is pending and nothing
// completes for more than two intervals. Upper bounds are the watchdog's business.
#include <chrono>
#include "rig.hpp"

namespace conformance {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto interval = std::chrono::milliseconds(200);

struct TimedRig : Rig {
  explicit TimedRig(Context& given_context, unsigned devices = 1) : Rig(given_context, devices) {
    wish.serverTimeOut = static_cast<uint32_t>(interval.count());
    activate();
  }
};

void fires(Context& context) {
  TimedRig rig(context);
  Sent flush(VDC_Flush);
  const auto begun = Clock::now();
  rig.send(flush);
  rig.fetch();
  context.equal(flush.wait(), 995, "the command that was never completed");
  context.check(Clock::now() - begun >= 2 * interval, "not before two intervals");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  Fetched none;
  context.code(rig.client_devices[0]->get(infinite, none), VD_E_ABORT, "GetCommand");
  Reason reason = {};
  context.code(rig.client->abort_reason(reason), ok, "the client's reason");
  context.equal(reason.call, VDA_CallServerTimeOut, "why");
  context.code(rig.server->abort_reason(reason), ok, "the server's reason");
  context.equal(reason.call, VDA_CallServerTimeOut, "why");
  context.cover("3.4", "fires after two intervals");
  context.cover("9.2", "serverTimeOut exceeded");
}

/// A command that nobody even fetches, sent early and late in an interval.
void fires_for_queued(Context& context) {
  for (const auto& late : {interval / 8, interval * 7 / 8}) {
    TimedRig rig(context);
    Sent snapshot(VDC_Snapshot);
    std::this_thread::sleep_for(late);
    const auto begun = Clock::now();
    rig.send(snapshot);
    context.equal(snapshot.wait(), 995, "a long command is no exception");
    context.check(Clock::now() - begun >= 2 * interval, "not before two intervals");
    context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  }
  context.cover("3.4", "long commands too");
}

/// Nothing pending: nothing to wait for, however long.
void idle(Context& context) {
  TimedRig rig(context);
  for (int i = 0; i < 2; ++i) {
    Sent flush(VDC_Flush);
    rig.exchange(flush);
    std::this_thread::sleep_for(4 * interval);
  }
  rig.terminate();
  context.cover("3.4", "not while nothing is pending");
}

/// One command waits throughout, others complete in each interval: the set's, not the device's.
void busy(Context& context) {
  TimedRig rig(context, 2);
  Sent held(VDC_Flush);
  rig.send(held);
  const Fetched waiting = rig.fetch();
  const auto begun = Clock::now();
  int completed = 0;
  while (Clock::now() - begun < 5 * interval) {
    Sent flush(VDC_Flush);
    rig.exchange(flush, 0, 0, 0, 1);
    ++completed;
    std::this_thread::sleep_for(interval / 8);
  }
  context.check(completed > 0, "others completed meanwhile");
  context.code(rig.client_devices[0]->complete(waiting, 0), ok, "the one that waited");
  context.equal(held.wait(), 0, "its result");
  rig.terminate();
  context.cover("3.4", "not while commands complete");
  context.cover("17", "12 serverTimeOut");
}

void none(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent flush(VDC_Flush);
  rig.send(flush);
  const Fetched command = rig.fetch();
  std::this_thread::sleep_for(4 * interval);
  context.code(rig.client_devices[0]->complete(command, 0), ok, "after a long time");
  context.equal(flush.wait(), 0, "its result");
  rig.terminate();
  context.cover("3.4", "0 is infinite");
}

}  // namespace

std::vector<Scenario> timeout_scenarios() {
  return {{"serverTimeOut fires", "3.4", fires},
          {"serverTimeOut of a queued command", "3.4", fires_for_queued},
          {"serverTimeOut while idle", "3.4", idle},
          {"serverTimeOut while busy", "3.4", busy},
          {"no serverTimeOut", "3.4", none}};
}

}  // namespace conformance
