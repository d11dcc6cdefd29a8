// tests/conformance/quirks.cpp: what real clients do, and must be allowed to (14, A6).
#include <chrono>
#include <cstdlib>
#include "rig.hpp"

namespace conformance {
namespace {

/// Bareos, MSSQL Compressed Backup: a short Read with SUCCESS is no end; the next goes on.
void short_reads(Context& context) {
  Rig rig(context);
  rig.server_features = VDF_ReadMedia;
  rig.activate();
  uint8_t* const buffer = rig.allocate(4096);
  std::string stream;
  for (const uint32_t bytes : {4096u, 100u, 1u, 0u, 4096u}) {
    Sent read(VDC_Read, 4096, buffer);
    rig.exchange(read, 0, bytes);
    context.equal(read.bytes, bytes, "a short read with SUCCESS");
  }
  Sent last(VDC_Read, 4096, buffer), flush(VDC_Flush);
  rig.exchange(last, 38, 512);
  context.equal(last.bytes, 512, "partial count with HANDLE_EOF");
  rig.terminate();
  context.cover("14", "short reads with SUCCESS");
}

/// SqlSnap and small benchmark clients: bytes and positions for commands that have none.
void junk(Context& context) {
  Rig rig(context);
  rig.activate();
  for (const int code : {VDC_Flush, VDC_ClearError, VDC_Rewind, VDC_Discard}) {
    Sent sent(code, 777, nullptr, 888);
    rig.send(sent);
    const Fetched got = rig.fetch();
    context.code(rig.client_devices[0]->complete(got, 0, UINT32_MAX, INT64_MIN), ok, "junk");
    context.equal(sent.wait(), 0, "no harm");
    context.equal(sent.bytes, 0, "no bytes");
  }
  rig.terminate();
  context.cover("14", "junk bytes and positions");
}

/// Compressed Backup: GetCommand(0) in a loop on one thread, others at work.
void busy_poll(Context& context) {
  Rig rig(context);
  rig.activate();
  uint8_t* const buffer = rig.allocate(512);
  std::jthread poller([&] {
    Fetched command;
    int result;
    while ((result = rig.client_devices[0]->get(0, command)) != VD_E_CLOSE) {
      if (result == ok)
        rig.client_devices[0]->complete(command, 0, 512);
      else if (result != VD_E_TIMEOUT)
        return;
    }
  });
  for (int i = 0; i < 200; ++i) {
    Sent write(VDC_Write, 512, buffer);
    rig.send(write);
    if (!context.equal(write.wait(), 0, "Write")) break;
  }
  context.code(rig.server_devices[0]->close(), ok, "CloseDevice");
  poller.join();
  context.code(rig.join_agent(), ok, "the agent");
  context.cover("14", "GetCommand(0) busy poll");
}

/// mthread, benchmark clients: OpenDevice again and again, also with the set's name.
void repeated_open(Context& context) {
  Rig rig(context);
  rig.activate();
  ClientDevice* none = nullptr;
  for (int i = 0; i < 3; ++i)
    context.code(rig.client->open_device(rig.name, none), VD_E_OPEN, "OpenDevice again");
  Sent flush(VDC_Flush);
  rig.exchange(flush);
  rig.terminate();
  context.cover("14", "repeated OpenDevice is harmless");
}

/// mthread: each thread asks for the configuration again, from its state on; BackupX checks that
/// Close after CLOSE gives 0.
void configuration_again(Context& context) {
  Rig rig(context);
  rig.activate();
  VDConfig config = {};
  for (int i = 0; i < 3; ++i)
    context.code(rig.client->get_configuration(15000, config), ok, "GetConfiguration again");
  context.check((config.features & VDF_WriteMedia) != 0, "tells the direction");
  rig.terminate();
  context.code(rig.client->get_configuration(0, config), ok, "GetConfiguration at the end");
  context.code(rig.client->close(), ok, "Close after CLOSE");
  context.cover("14", "GetConfiguration by each thread");
  context.cover("14", "Close after CLOSE gives 0");
}

/// Compressed Backup: fails a command, then SignalAbort. Bareos: stops without completing, waits
/// for CLOSE; the server's own end comes.
void odd_ends(Context& context) {
  {
    Rig rig(context);
    rig.activate();
    Sent write(VDC_Write, 512, rig.allocate(512));
    rig.exchange(write, 112, 0);
    context.code(rig.client->signal_abort(), ok, "SignalAbort after a failing completion");
    context.code(rig.client->close(), ok, "Close");
    context.code(rig.join_agent(), VD_E_ABORT, "the agent");
    context.cover("14", "a failing completion, then SignalAbort");
  }
  Rig rig(context);
  rig.activate();
  Sent read(VDC_Read, 512, rig.allocate(512));
  rig.send(read);
  rig.fetch();
  context.code(rig.server_devices[0]->close(), ok, "CloseDevice with a command held");
  Fetched none;
  context.code(rig.client_devices[0]->get(patience_ms, none), VD_E_CLOSE, "CLOSE comes");
  context.code(rig.client->close(), ok, "Close");
  context.equal(read.wait(), 995, "the command that was never completed");
  rig.join_agent();
  context.cover("14", "CLOSE while a command is held");
}

/// Benchmark clients complete what they do not know, echoing size and position; extra commands at
/// teardown too.
void unknown_commands(Context& context) {
  Rig rig(context);
  rig.activate();
  for (const int code : {16, 17, 18, 100, 65535}) {
    Sent sent(code, 0, nullptr, 4711);
    rig.send(sent);
    const Fetched got = rig.fetch();
    context.equal(got.code, code, "the code passes");
    context.code(rig.client_devices[0]->complete(got, 0, 0, got.position), ok, "CompleteCommand");
    context.equal(sent.wait(), 0, "its result");
  }
  Sent refused(VDC_GetError), clear(VDC_ClearError);
  rig.exchange(refused, 50);
  rig.exchange(clear);
  rig.terminate();
  context.cover("14", "unknown commands pass");
}

/// A6 through vdi.h itself: GetConfiguration in milliseconds; GetCommand in seconds unless the
/// environment says "ms" when the set is made.
void units(Context& context) {
  using Clock = std::chrono::steady_clock;
  for (const bool in_ms : {false, true}) {
    if (in_ms)
      setenv("VDSET_VDI_GETCOMMAND_UNIT", "ms", 1);
    else
      unsetenv("VDSET_VDI_GETCOMMAND_UNIT");
    Rig rig(context);
    auto begun = Clock::now();
    rig.create();
    VDConfig config;
    context.code(rig.client->get_configuration(200, config), VD_E_TIMEOUT, "GetConfiguration");
    const auto waited = Clock::now() - begun;
    context.check(waited >= std::chrono::milliseconds(200), "200 ms");
    rig.connect();
    rig.begin();
    rig.request();
    rig.finish();
    rig.get_configuration();
    rig.open_devices();
    Fetched none;
    begun = Clock::now();
    // One second, or 50 ms.
    context.code(rig.client_devices[0]->get(in_ms || context.face.is_c() ? 50 : 1, none),
                 VD_E_TIMEOUT, "GetCommand");
    const auto least = std::chrono::milliseconds(in_ms || context.face.is_c() ? 50 : 1000);
    context.check(Clock::now() - begun >= least, "GetCommand's unit");
  }
  context.cover("15", "A6 units of time");
}

/// The published sample: one device, GetConfiguration 10000, GetCommand 90; a TIMEOUT ends it.
void sample(Context& context) {
  unsetenv("VDSET_VDI_GETCOMMAND_UNIT");
  Rig rig(context);
  rig.transfer = 1048576;
  rig.create();
  std::jthread server([&] {
    rig.connect();
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    rig.begin();
    rig.request();
    rig.finish();
  });
  VDConfig config = {};
  context.need(rig.client->get_configuration(10000, config), ok, "GetConfiguration(10000)");
  server.join();
  context.equal(config.maxTransferSize, 1048576, "MAXTRANSFERSIZE");
  rig.open_devices();
  rig.start_agent();
  Sent write(VDC_Write, 1048576, rig.allocate(1048576));
  std::jthread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    rig.send(write);
  });
  // 90 ms would have ended it by now.
  Fetched got;
  const int64_t wait = context.face.is_c() ? 90000 : 90;
  context.need(rig.client_devices[0]->get(wait, got), ok, "GetCommand(90)");
  context.code(rig.client_devices[0]->complete(got, 0, 1048576), ok, "CompleteCommand");
  context.equal(write.wait(), 0, "Write");
  late.join();
  rig.terminate();
  context.cover("14", "the published sample");
  context.cover("17", "16 quirks");
}

/// FILELISTONLY over VDI: the server reads a little and closes; the client meant to send more.
void early_close(Context& context) {
  Rig rig(context);
  rig.server_features = VDF_ReadMedia;
  rig.activate();
  Sent read(VDC_Read, 65536, rig.allocate(65536));
  rig.exchange(read, 0, 65536);
  rig.terminate();
  context.code(rig.client->close(), ok, "Close");
  context.cover("14", "the server closes early");
}

}  // namespace

std::vector<Scenario> quirk_scenarios() {
  return {{"short reads", "14", short_reads},
          {"junk in a completion", "14", junk},
          {"busy polling", "14", busy_poll},
          {"repeated OpenDevice", "14", repeated_open},
          {"repeated GetConfiguration", "14", configuration_again},
          {"odd ends", "14", odd_ends},
          {"unknown commands", "14", unknown_commands},
          {"units of time", "15", units},
          {"the published sample", "14", sample},
          {"early close", "14", early_close}};
}

}  // namespace conformance
