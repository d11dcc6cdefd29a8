// tests/conformance/differences.cpp: where the bindings of other languages must do otherwise than
// the C ABI, and why; see suite.hpp. The first entry that matches counts.
#include "suite.hpp"

namespace conformance {
namespace {

const char* const no_object = "there is no object to make the call on, and no null one";
const char* const no_device = "a device is what OpenDevice gives; there is none before";
const char* const no_buffer = "a buffer is what AllocateBuffer gives; an address is none";
const char* const consumed =
    "completing a command consumes it, and what is used afterwards does "
    "not compile";
const char* const of_a_command =
    "a handle is asked of the command that holds the buffer, not of "
    "an address";
const char* const one_slice = "a buffer is lent to one value of a process at a time";
const char* const one_value = "a Buffer is one value: who sends or drops it gives it away";
const char* const borrowed =
    "closing consumes an object that calls borrow: it does not compile "
    "under a thread in one, nor is there an object afterwards";
const char* const own_device = "a command completes itself: no call takes a device";
const char* const says_closed =
    "who is in a call under Close, or comes later, is told that the "
    "object is closed";
const char* const dead = "a command that was completed is dead, whatever became of its set";

}  // namespace

const std::vector<Difference>& differences() {
  static const std::vector<Difference> all = {
      {"@(rust|go)", "client matrix: *", "* in DNE", cannot, "2.1 */DNE", no_object},
      {"@(rust|go)", "client matrix: *", "*Command in @(Configurable|Initializing)", cannot,
       "2.1 *Command/@(Configurable|Initializing)", no_device},
      {"@(rust|go)", "server matrix: *", "* in DNE", cannot, "2.2 */DNE", no_object},
      {"@(rust|go)", "server matrix: *", "@(SendCommand|CloseDevice) in @(Co*|Initializing)",
       cannot, "2.2 @(SendCommand|CloseDevice)/@(Co*|Initializing)", no_device},
      {"@(rust|go)", "server matrix: *",
       "@(SendCommand|CloseDevice) in Abort before BeginConfiguration", cannot, nullptr, no_device},
      {"@(rust|go)", "server matrix: *", "FreeBuffer in Co*", cannot, "2.2 FreeBuffer/Co*",
       no_buffer},
      {"@(rust|go)", "server matrix: *", "FreeBuffer in Abort before BeginConfiguration", cannot,
       nullptr, no_buffer},
      {"@(rust|go)", "Close without a server", "Close before Create", cannot, nullptr, no_object},
      {"@(rust|go)", "double and foreign completion", "by another device", cannot,
       "5 foreign completion INVALID", own_device},

      {"rust", "client matrix: CompleteCommand", "* in NT", cannot, "2.1 CompleteCommand/NT",
       consumed},
      {"rust", "client matrix: GetBufferHandle", "* in @(Configurable|Initializing|NT)", cannot,
       "2.1 GetBufferHandle/@(Configurable|Initializing|NT)", of_a_command},
      {"rust", "client matrix: MapBufferHandle", "* in @(Active|Abort)", VD_E_BUSY, nullptr,
       one_slice},
      {"rust", "handles", "MapBufferHandle while the command is held", VD_E_BUSY, nullptr,
       one_slice},
      {"rust", "handles", "not a start", cannot, "8.1 interior addresses have no handle",
       of_a_command},
      {"rust", "handles", "nor from the address", cannot, nullptr, of_a_command},
      {"rust", "buffer requests", "FreeBuffer @(of an interior|twice)", cannot,
       "6 FreeBuffer INVALID", one_value},
      {"rust", "buffers that are none", "*", cannot, "8.1 a buffer has one owner", one_value},
      {"rust", "double and foreign completion", "@(again*|another is*|a *pointer*)", cannot,
       "5 double completion INVALID", consumed},
      {"rust", "Close without a server", "Close twice", cannot, "5 Close twice PROTOCOL", borrowed},
      {"rust", "Close and Create again", "server Close with a device open", cannot, nullptr,
       borrowed},
      {"rust", "devices after Close", "*", cannot, "5 devices end with their set", borrowed},
      {"rust", "Close under waiting threads", "Close under threads", cannot,
       "5 Close wakes waiting threads", borrowed},

      {"go", "buffer requests", "FreeBuffer of an interior", cannot, nullptr, no_buffer},
      {"go", "buffers that are none", "a buffer that is none", cannot, nullptr, no_buffer},
      {"go", "double and foreign completion", "a pointer of nobody", cannot, nullptr,
       "a Command is a value that GetCommand gives"},
      {"go", "Close without a server", "Close twice", VD_E_NOTOPEN, nullptr, says_closed},
      {"go", "devices after Close", "CompleteCommand", VD_E_INVALID, nullptr,
       "the zero Command is of no device"},
      {"go", "Close under waiting threads", "GetCommand that waited", VD_E_NOTOPEN, nullptr,
       says_closed},
      {"go", "abort wakes GetCommand and the agent", "the agent under Close", VD_E_NOTOPEN, nullptr,
       says_closed},
      {"go", "the server closes too early", "the agent has returned", VD_E_NOTOPEN, nullptr,
       says_closed},
      {"go", "the server closes too early", "CompleteCommand", VD_E_INVALID, nullptr, dead},
  };
  return all;
}

}  // namespace conformance
