// tests/conformance/commands.cpp: GetCommand and CompleteCommand (5.2), what each command carries
// (7.1, 7.4), Flush and Complete.
#include <algorithm>
#include "rig.hpp"

namespace conformance {
namespace {

void polls(Context& context) {
  Rig rig(context);
  rig.activate();
  Fetched command;
  for (int i = 0; i < 1000; ++i)
    if (!context.code(rig.client_devices[0]->get(0, command), VD_E_TIMEOUT, "a poll")) return;
  context.code(rig.client_devices[0]->get(5, command), VD_E_TIMEOUT, "a short wait");
  Sent flush(VDC_Flush);
  rig.send(flush);
  context.code(rig.client_devices[0]->get(0, command), ok, "a poll with something there");
  context.code(rig.client_devices[0]->complete(command, 0), ok, "CompleteCommand");
  context.equal(flush.wait(), 0, "Flush");
  rig.terminate();
  context.cover("5", "GetCommand(0) polls");
}

/// Several under way: fetched in the order sent, completed in another, each result its own.
void order(Context& context) {
  constexpr unsigned count = 6;
  const unsigned orders[][count] = {{5, 4, 3, 2, 1, 0}, {2, 0, 5, 1, 4, 3}, {0, 1, 2, 3, 4, 5}};
  Rig rig(context);
  rig.activate();
  uint8_t* buffers[count];
  for (auto& buffer : buffers)
    buffer = rig.allocate(65536);
  for (const auto& completing : orders) {
    std::vector<std::unique_ptr<Sent>> sent;
    for (unsigned i = 0; i < count; ++i) {
      sent.push_back(
          std::make_unique<Sent>(VDC_Write, 512 * (static_cast<int>(i) + 1), buffers[i]));
      std::memset(buffers[i], 'a' + static_cast<int>(i), 65536);
      rig.send(*sent.back());
    }
    Fetched fetched[count];
    for (unsigned i = 0; i < count; ++i) {
      fetched[i] = rig.fetch();
      context.equal(fetched[i].size, 512 * (static_cast<int>(i) + 1), "in the order sent");
      context.equal(fetched[i].buffer[0], 'a' + static_cast<int>(i), "with its own data");
    }
    for (const unsigned i : completing)
      context.code(rig.client_devices[0]->complete(fetched[i], 0, 512 * i), ok, "CompleteCommand");
    for (unsigned i = 0; i < count; ++i) {
      context.equal(sent[i]->wait(), 0, "Write");
      context.equal(sent[i]->bytes, 512 * i, "its own bytes");
    }
  }
  rig.terminate();
  context.cover("5", "commands in the order sent");
  context.cover("5", "several fetched at once");
  context.cover("5", "completion in any order");
  context.cover("17", "6 GetCommand and completion");
}

void double_completion(Context& context) {
  Rig rig(context, 2);
  rig.activate();
  Sent first(VDC_Flush), second(VDC_Flush), other(VDC_Flush);
  rig.send(first);
  const Fetched command = rig.fetch();
  context.code(rig.client_devices[1]->complete(command, 0), VD_E_INVALID, "by another device");
  context.equal(first.calls, 0, "a foreign completion completes nothing");
  context.cover("5", "foreign completion INVALID");
  context.code(rig.client_devices[0]->complete(command, 0), ok, "CompleteCommand");
  context.code(rig.client_devices[0]->complete(command, 0), VD_E_INVALID, "again at once");
  first.wait();
  context.code(rig.client_devices[0]->complete(command, 0), VD_E_INVALID, "again, reaped");
  rig.send(second);
  context.code(rig.client_devices[0]->complete(command, 0), VD_E_INVALID, "another is queued");
  const Fetched next = rig.fetch();
  context.code(rig.client_devices[0]->complete(command, 0), VD_E_INVALID, "another is fetched");
  context.equal(second.calls, 0, "an old pointer completes nothing");
  context.code(rig.client_devices[0]->complete(next, 0), ok, "CompleteCommand");
  Fetched junk = next;
  junk.token = static_cast<const char*>(next.token) + 1;
  context.code(rig.client_devices[0]->complete(junk, 0), VD_E_INVALID, "a pointer of nobody");
  junk.token = nullptr;
  context.code(rig.client_devices[0]->complete(junk, 0), VD_E_INVALID, "a null pointer");
  second.wait();
  context.equal(first.calls, 1, "calls of the first");
  context.equal(second.calls, 1, "calls of the second");
  rig.terminate();
  context.cover("5", "double completion INVALID");
}

/// Each command code passes with its inputs and outputs (7.1).
void every_command(Context& context) {
  Rig rig(context, 1, VDF_LikeTape | VDF_Discard | VDF_SnapshotPrepare | VDF_RequestComplete);
  rig.activate();
  for (int code = VDC_Read; code <= VDC_Complete; ++code) {
    const bool moves = code == VDC_Read || code == VDC_Write;
    uint8_t* const buffer = moves ? rig.allocate(1024) : nullptr;
    Sent sent(code, moves ? 1024 : -3, buffer, 0x123456789ab);
    rig.send(sent);
    const Fetched got = rig.fetch();
    context.equal(got.code, code, "the code");
    context.equal(got.size, sent.size, "the size, a count for some, signed");
    context.equal(got.position, sent.position, "the position");
    context.check((got.buffer != nullptr) == moves, "a buffer for data only");
    // Junk in what means nothing for this command (14).
    context.code(rig.client_devices[0]->complete(got, 0, 1024, -77), ok, "CompleteCommand");
    context.equal(sent.wait(), 0, "its result");
    context.equal(sent.bytes, moves ? 1024 : 0, "bytes count for data only");
    if (code == VDC_GetPosition || code == VDC_SetPosition)
      context.equal(sent.out_position, -77, "the resulting position");
    if (buffer != nullptr) context.code(rig.server->free(buffer, 1024), ok, "FreeBuffer");
    context.cover("7", "command " + std::to_string(code));
  }
  rig.terminate();
  context.cover("7", "bytes for Read and Write only");
}

void completion_codes(Context& context) {
  Rig rig(context);
  rig.activate();
  for (const int code : {1,   6,    7,    10,   29,   30,   38,   39,   50,     112,
                         995, 1100, 1101, 1102, 1104, 1117, 1129, 1450, 999999, -1}) {
    Sent flush(VDC_Flush), clear(VDC_ClearError);
    rig.exchange(flush, code);
    rig.exchange(clear);
  }
  rig.terminate();
  context.cover("7", "every completion code passes through");
}

void data_passes(Context& context) {
  Rig rig(context, 1);
  rig.server_features = VDF_WriteMedia | VDF_ReadMedia;
  rig.activate();
  uint8_t* const buffer = rig.allocate(65536);
  for (int i = 0; i < 65536; ++i)
    buffer[i] = static_cast<uint8_t>(i * 7 >> 3);
  Sent write(VDC_Write, 65536, buffer);
  rig.send(write);
  Fetched command = rig.fetch();
  const std::vector<uint8_t> medium(command.buffer, command.buffer + command.size);
  context.code(rig.client_devices[0]->complete(command, 0, 65536), ok, "CompleteCommand");
  context.equal(write.wait(), 0, "Write");
  context.equal(write.bytes, 65536, "bytes");
  std::memset(buffer, 0, 65536);
  Sent read(VDC_Read, 65536, buffer);
  rig.send(read);
  command = rig.fetch();
  std::memcpy(command.buffer, medium.data(), 65536);
  context.code(rig.client_devices[0]->complete(command, 0, 65536), ok, "CompleteCommand");
  context.equal(read.wait(), 0, "Read");
  context.check(std::equal(medium.begin(), medium.end(), buffer), "what came back is identical");
  rig.terminate();
  context.cover("7", "Read and Write move the bytes");
}

void bytes_are_clamped(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent write(VDC_Write, 512, rig.allocate(512));
  rig.exchange(write, 0, 0xFFFFFFFF);
  context.equal(write.bytes, 512, "more bytes than asked for");
  write.calls = 0;
  rig.exchange(write, 0, 0);
  context.equal(write.bytes, 0, "no bytes");
  rig.terminate();
  context.cover("7", "bytes stay within size");
}

void close_comes_last(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent one(VDC_Flush), two(VDC_Flush);
  rig.send(one);
  rig.send(two);
  context.code(rig.server_devices[0]->close(), ok, "CloseDevice with two queued");
  context.code(rig.server_devices[0]->close(), VD_E_CLOSE, "CloseDevice twice");
  for (Sent* sent : {&one, &two}) {
    context.code(rig.client_devices[0]->complete(rig.fetch(), 0), ok, "CompleteCommand");
    context.equal(sent->wait(), 0, "what was queued still counts");
  }
  Fetched none;
  for (int i = 0; i < 3; ++i)
    context.code(rig.client_devices[0]->get(i == 1 ? 0 : infinite, none), VD_E_CLOSE, "then CLOSE");
  context.code(rig.join_agent(), ok, "the agent ends by itself");
  context.cover("15", "A16 CLOSE stays");
  context.cover("15", "A9 the agent returns at the end");
  context.cover("9.1", "CLOSE after the queue drains");
  context.code(rig.server->close(), ok, "server Close");
  context.code(rig.client_devices[0]->get(0, none), VD_E_CLOSE, "CLOSE after the server's Close");
  context.code(rig.client->close(), ok, "Close");
  context.cover("9.1", "both Close");
}

void several_flushes(Context& context) {
  Rig rig(context, 2, VDF_RequestComplete);
  rig.activate();
  context.check((rig.agreed.features & VDF_CompleteEnabled) != 0, "CompleteEnabled");
  uint8_t* const buffer = rig.allocate(512);
  for (int round = 0; round < 5; ++round) {
    for (unsigned device = 0; device < 2; ++device) {
      Sent write(VDC_Write, 512, buffer), flush(VDC_Flush);
      rig.exchange(write, 0, 512, 0, device);
      rig.exchange(flush, 0, 0, 0, device);
    }
  }
  context.cover("7", "several Flushes");
  for (unsigned device = 0; device < 2; ++device) {
    Sent complete(VDC_Complete);
    rig.exchange(complete, 0, 0, 0, device);
  }
  rig.terminate();
  context.cover("7", "Complete once, last, for each device");
}

void failing_complete(Context& context) {
  Rig rig(context, 1, VDF_RequestComplete);
  rig.activate();
  Sent complete(VDC_Complete), flush(VDC_Flush);
  rig.exchange(flush);
  rig.exchange(complete, 112);
  // The server fails its statement in order: the client sees CLOSE, not ABORT.
  rig.terminate();
  context.cover("7", "an error on Complete reaches the server");
  context.cover("17", "15 Flush and Complete");
  context.cover("9.2", "client completes with an error");
}

/// One device only ever has one thread in GetCommand.
void second_thread(Context& context) {
  Rig rig(context);
  rig.activate();
  Fetched command, none;
  std::atomic<int> result = 1;
  std::jthread waiter([&] {
    do  // Until it is the first of the two.
      result = rig.client_devices[0]->get(infinite, command);
    while (result == VD_E_BUSY);
  });
  int second;
  while ((second = rig.client_devices[0]->get(0, none)) == VD_E_TIMEOUT)
    std::this_thread::yield();
  context.code(second, VD_E_BUSY, "a second thread in GetCommand");
  Sent flush(VDC_Flush);
  rig.send(flush);
  waiter.join();
  context.code(result, ok, "the first thread");
  std::jthread([&] {
    context.code(rig.client_devices[0]->complete(command, 0), ok, "completed by another thread");
  }).join();
  context.equal(flush.wait(), 0, "Flush");
  rig.terminate();
  context.cover("5", "a second thread in GetCommand");
}

/// Many laps of the ring, so that old pointers and numbers are met again.
void many_commands(Context& context) {
  Rig rig(context);
  rig.activate();
  uint8_t* const buffer = rig.allocate(512);
  for (int i = 0; i < 800; ++i) {
    Sent write(VDC_Write, 512, buffer, i);
    write.buffer[0] = static_cast<uint8_t>(i);
    rig.send(write);
    const Fetched got = rig.fetch();
    const bool good = got.position == i && got.buffer[0] == static_cast<uint8_t>(i) &&
                      rig.client_devices[0]->complete(got, 0, 512) == ok && write.wait() == 0;
    if (!good) {
      context.equal(i, -1, "the first command that went wrong");
      return;
    }
  }
  context.check(true, "800 commands");
  rig.terminate();
}

}  // namespace

std::vector<Scenario> command_scenarios() {
  return {{"GetCommand polls", "5", polls},
          {"order of commands", "5", order},
          {"double and foreign completion", "5", double_completion},
          {"a second thread in GetCommand", "5", second_thread},
          {"every command", "7", every_command},
          {"every completion code", "7", completion_codes},
          {"data", "7", data_passes},
          {"bytes are clamped", "7", bytes_are_clamped},
          {"CLOSE comes last", "9.1", close_comes_last},
          {"several Flushes, one Complete", "7", several_flushes},
          {"Complete fails", "7", failing_complete},
          {"many commands", "7", many_commands}};
}

}  // namespace conformance
