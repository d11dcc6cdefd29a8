// tests/support/lines.hpp: the lines of a part C of a fixed depth, as one object.
#pragma once
#include "core/layout.hpp"

namespace vdset::support {

template <std::uint32_t depth>
struct Lines {
  core::CompletionLine completions[depth]{};
  core::CommandLine commands[depth]{};

  operator core::ClientLines() { return {completions, commands}; }
};

}  // namespace vdset::support
