// tests/conformance/catalog.cpp: what must be shown, by section of the VDI semantics: every cell of
// both matrices, every row of the table of abnormal ends, and the single rules. A scenario names
// what it shows with Context::cover(); what nobody shows is a gap.
#include "suite.hpp"

namespace conformance {
namespace {

struct Table {
  const char* section;
  std::vector<const char*> rows, columns;
};

/// Calls by states.
const Table matrices[] = {
    {"2.1",
     {"Create", "GetConfiguration", "OpenDevice", "GetCommand", "CompleteCommand", "SignalAbort",
      "Close", "OpenInSecondary", "GetBufferHandle", "MapBufferHandle"},
     {"DNE", "Configurable", "Initializing", "Active", "NT", "Abort"}},
    {"2.2",
     {"Open", "GetConfiguration", "BeginConfiguration", "RequestBuffers", "QueryAvailableBuffers",
      "EndConfiguration", "OpenDevice", "ExecuteCompletionAgent", "AllocateBuffer", "FreeBuffer",
      "SendCommand", "CloseDevice", "SignalAbort", "Close"},
     {"DNE", "Connected", "Configurable", "Initializing", "Active", "NT", "Abort"}},
};

struct Rules {
  const char* section;
  std::vector<const char*> items;
};

const Rules rules[] = {
    {"2.4", {"a secondary opens before GetConfiguration"}},
    {"3",
     {"CompleteEnabled only if requested", "alignments", "all eleven fields overwritten",
      "block sizes", "deviceCount 0", "deviceCount 65", "direction bits",
      "features beyond the wish refused", "illegal feature mixes", "legal feature mixes",
      "maxIODepth 4", "prefix zone limits", "server bits from the client refused",
      "server fields ignored on input", "the client's alignment", "transfer sizes", "deviceCount 1",
      "deviceCount 64"}},
    {"3.4",
     {"0 is infinite", "fires after two intervals", "long commands too",
      "not while commands complete", "not while nothing is pending"}},
    {"4",
     {"200 characters", "any bytes", "backslash refused", "braces", "case-sensitive",
      "empty and too long refused", "first clause is the set's name", "slashes", "spaces"}},
    {"5",
     {"64 processes, a device each",
      "Close twice PROTOCOL",
      "Close wakes waiting threads",
      "Create again on the same object",
      "GetCommand(0) polls",
      "GetConfiguration TIMEOUT keeps the state",
      "OpenDevice from n processes",
      "OpenDevice from n threads",
      "OpenDevice in any order",
      "a second thread in GetCommand",
      "abort wakes GetCommand",
      "abort wakes GetConfiguration",
      "abort wakes OpenDevice",
      "commands in the order sent",
      "completion in any order",
      "concurrent GetConfiguration",
      "devices end with their set",
      "double completion INVALID",
      "duplicate PROTOCOL",
      "foreign completion INVALID",
      "infinite in both spellings",
      "n+1 OPEN",
      "null out pointer",
      "several fetched at once",
      "signals end no wait",
      "unknown INVALID"}},
    {"6",
     {"AllocateBuffer MEMORY and INVALID", "EndConfiguration MEMORY, then less",
      "FreeBuffer INVALID", "IsSharedBuffer", "QueryAvailableBuffers", "RequestBuffers adds up",
      "RequestBuffers later is immediate", "server OpenDevice"}},
    {"7",
     {"Complete once, last, for each device", "Read and Write move the bytes",
      "an error on Complete reaches the server", "bytes for Read and Write only",
      "bytes stay within size", "every completion code passes through", "several Flushes"}},
    {"7.4",
     {"50 for what is not supported", "disk: addresses and positions", "removable disk",
      "tape: marks, skips, positions"}},
    {"7.5", {"Load", "end of media and its warning", "pending writes are stored"}},
    {"7.6", {"Reads and Writes overlap"}},
    {"8.1",
     {"a buffer has one owner", "a handle lives as long as its buffer",
      "a prefix zone before each buffer", "a secondary's handle in the primary",
      "buffers stay mapped until Close", "buffers that are added later", "each buffer is aligned",
      "forged handles are refused", "guard patterns hold", "handles across processes",
      "interior addresses have no handle",
      "sizes are multiples of blockSize, at most maxTransferSize"}},
    {"8.2", {"ABORT 995", "IO_ERROR 1117", "PROTOCOL 6", "QUEUE_FULL 1450", "room for five",
             "one held command leaves room for depth - 1"}},
    {"8.3",
     {"1 and 2: queued commands end with 1117 unseen", "3: fetched commands are still completed",
      "4: new commands are refused", "5: ClearError is withheld",
      "6: ClearError makes the device Active", "CloseDevice instead of ClearError",
      "EOF, ClearError, on", "SignalAbort instead of ClearError",
      "only a successful ClearError counts", "other devices go on"}},
    {"8.4",
     {"CloseDevice in a callback", "abort ends what is outstanding with 995",
      "abort wakes the agent", "callbacks may send, allocate and free",
      "one thread calls back for all devices"}},
    {"9.1", {"CLOSE after the queue drains", "both Close"}},
    {"9.2",
     {"client Close with open devices", "client SignalAbort", "client completes with an error",
      "client goes with commands held after CloseDevice", "configuration unusable",
      "fails before Open", "names can be used again", "secondary Close with open devices",
      "secondary SignalAbort", "server Close with open devices", "server SignalAbort",
      "serverTimeOut exceeded", "the first reason stays", "unknown name at the server"}},
    {"10",
     {"995 on Snapshot", "backup with PrepareToFreeze", "backup without PrepareToFreeze",
      "only CLOSE after Snapshot", "restore with MountSnapshot",
      "several databases held together"}},
    {"14",
     {"CLOSE while a command is held", "Close after CLOSE gives 0",
      "Close without SignalAbort fails the server", "GetCommand(0) busy poll",
      "GetConfiguration by each thread", "SqlSnap: many sets, held commands",
      "a failing completion, then SignalAbort", "junk bytes and positions",
      "repeated OpenDevice is harmless", "short reads with SUCCESS", "the published sample",
      "the server closes early", "unknown commands pass"}},
    {"15",
     {"A1 OpenDevice while Active", "A2 Close after an abort", "A2 Close with open devices",
      "A4 OpenDevice waits for the name", "A4 the wait is bounded", "A5 private codes",
      "A6 units of time", "A7 unknown set", "A9 the agent returns at the end",
      "A10 GetPosition of a disk", "A13 Close with a server attached", "A16 CLOSE stays",
      "A18 deviceCount and clauses differ", "A19 name in use"}},
    {"17",
     {"1 layout", "3 configuration", "4 GetConfiguration", "5 OpenDevice",
      "6 GetCommand and completion", "7 data", "8 IO-ERROR", "9 SendCommand failures",
      "10 abort matrix", "11 Close", "12 serverTimeOut", "13 EndConfiguration MEMORY",
      "14 snapshot", "15 Flush and Complete", "16 quirks"}},
};

/// kill -9, by state of the set or of the secondary.
const char* const deaths[] = {"primary dies: Configurable without a server",
                              "primary dies: Connected",
                              "primary dies: Configurable",
                              "primary dies: Initializing",
                              "primary dies: Active, devices named",
                              "primary dies: Active, devices open",
                              "primary dies: Active, a command fetched",
                              "server dies: Connected",
                              "server dies: Configurable",
                              "server dies: Initializing",
                              "server dies: Active, devices named",
                              "server dies: Active, devices open",
                              "server dies: Active, a command fetched",
                              "secondary dies: joined",
                              "secondary dies: device open",
                              "secondary dies: in GetCommand",
                              "secondary dies: a command fetched"};

}  // namespace

std::vector<Item> catalog() {
  std::vector<Item> all;
  for (const Table& table : matrices)
    for (const char* row : table.rows)
      for (const char* column : table.columns)
        all.push_back({table.section, std::string(row) + "/" + column});
  for (const Rules& group : rules)
    for (const char* item : group.items)
      all.push_back({group.section, item});
  for (int code = VDC_Read; code <= VDC_Complete; ++code)
    all.push_back({"7", "command " + std::to_string(code)});
  for (const char* item : deaths)
    all.push_back({"9.2", item});
  return all;
}

}  // namespace conformance
