// link.hpp: what a fetching process and its worker say to each other. A buffer's bytes never travel
// here: only its 32-bit handle does. One packet is one message; the worker answers in the order it
// was asked.
#pragma once
#include <cstdint>

namespace cli {

enum class LinkOperation : std::uint32_t { write = 1, read = 2, sync = 3, finish = 4 };

struct LinkRequest {
  LinkOperation operation = LinkOperation::write;
  std::uint32_t handle = 0;
  std::uint32_t size_bytes = 0;
  std::uint32_t is_redelivered = 0;
};

struct LinkAnswer {
  std::int32_t completion_code = 0;  // As for vdset_device_complete_command.
  std::uint32_t bytes = 0;
};

}  // namespace cli
